"""What the routes of usage take and answer."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, PlainSerializer, WithJsonSchema

from metering.money import MICROS_PER_CENT
from metering.settle import Outcome
from security.api.cursor import ListAnswer, ListQuery
from security.api.days import Day, Month
from security.api.models import WHOLE, AnswerBody, Body

LARGEST_BUDGET = 1_000_000_000
"""Cents. Its millionths are far from what a counter can hold."""


def _cents(micros: int) -> int | float:
    """Whole cents as an integer. A fraction has four digits at most, which a float prints exactly."""
    whole, rest = divmod(micros, MICROS_PER_CENT)
    return whole if rest == 0 else micros / MICROS_PER_CENT


Cents = Annotated[
    int,
    PlainSerializer(_cents, return_type=int | float),
    WithJsonSchema({"type": "number", "minimum": 0, "examples": [100, 0.25]}),
]
"""Made from millionths of the currency unit, and shown in cents, exactly."""
Name = Annotated[str, Field(min_length=1, max_length=64)]


class Status(StrEnum):
    OK = "ok"
    FAILED = "failed"


class StatusFilter(StrEnum):
    OK = "ok"
    FAILED = "failed"
    FREE = "free"


class CallsFilter(Body):
    """Days are UTC: the day that a request counted for."""

    feature: Name | None = None
    """Only requests of this feature, such as `predict`."""
    status: StatusFilter | None = None
    """`ok`: something was delivered. `failed`: nothing was. `free`: it cost nothing, delivered or not."""
    key_id: UUID | None = None
    """Only requests made with this API key."""
    from_: Annotated[Day | None, Field(alias="from", examples=["2026-01-01"])] = None
    """The first day."""
    to: Annotated[Day | None, Field(examples=["2026-01-31"])] = None
    """The last day."""


class CallsQuery(CallsFilter, ListQuery):
    pass


class CallRow(AnswerBody):
    request_id: UUID
    created_at: datetime
    """When it ended."""
    day: date
    """The UTC day that it counted for."""
    feature: str
    method: str | None
    route: str | None
    """The path that was called. Null where the feature does not record it."""
    status: Status
    """`ok` if something was delivered."""
    outcome: Outcome | None
    """`delivered`; `cut_short`: a stream that ended early; `failed`; `refused` by a limit, of which only the first in a minute is
    listed; `unknown`: the provider did not answer in time; `abandoned`: we had to stop the request."""
    http_status: int | None
    """The status of our response. Null if there was none."""
    error: str | None
    """Why nothing was delivered."""
    cost_cents: Cents
    key_id: UUID | None
    """The API key that was used. Null for a signed-in user."""
    provider: str | None
    model: str | None
    mock: bool | None
    """True if no provider was asked, because the server runs without one."""
    input_tokens: int | None
    output_tokens: int | None
    estimated: bool | None
    """True if the provider did not say how many tokens were used."""
    response_time_ms: int


class CallsAnswer(ListAnswer):
    requests: list[CallRow]


class SummaryQuery(Body):
    month: Annotated[Month | None, Field(examples=["2026-01"])] = None
    """A UTC month. Default: this month."""


class Requests(AnswerBody):
    """`total` is `ok` plus `failed`. `free` overlaps with both."""

    total: int
    ok: int
    """Something was delivered."""
    failed: int
    """Nothing was delivered."""
    free: int
    """It cost nothing."""


class Part(Requests):
    cost_cents: Cents


class FeaturePart(Part):
    feature: str


class DayPart(Part):
    day: date


class KeyPart(Part):
    key_id: UUID | None
    """Null: without an API key, by a signed-in user."""


class BudgetBody(Body):
    monthly_cents: Annotated[int, Field(ge=0, le=LARGEST_BUDGET), WHOLE] | None
    """The most that may be charged in a UTC month. Null removes the budget."""


class BudgetAnswer(AnswerBody):
    monthly_cents: int | None
    """Null: no budget is set."""
    used_cents: Cents
    """What was charged this month, for all features."""
    resets_at: datetime


class SummaryAnswer(AnswerBody):
    period: str
    """The UTC month."""
    requests: Requests
    cost_cents: Cents
    by_feature: list[FeaturePart]
    by_day: list[DayPart]
    by_key: list[KeyPart]
    limits: dict[str, dict[str, int | None]]
    """What your plan allows now, by feature. Null means unlimited."""
    budget: BudgetAnswer
    """Your budget now, also if you ask for another month."""
