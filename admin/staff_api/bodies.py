"""What the routes of the staff take and answer."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, JsonValue

from admin.accounts.bodies import State
from admin.billing_periods.bodies import MonthName
from admin.list_filter import LONGEST_NAME
from admin.reason import Reason
from auth.api_keys.bodies import KeyState
from auth.principal import Role
from auth.tiers import Tier
from metering.settle import Outcome
from payments.billing.give_credit import LARGEST_CREDIT
from payments.billing.state import PeriodState
from security.api.cursor import ListAnswer, ListQuery
from security.api.days import Day
from security.api.models import WHOLE, AnswerBody, Body

Name = Annotated[str, Field(min_length=1, max_length=64)]


class OfAccount(ListQuery):
    """Base of the query of every list."""

    account: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, examples=["alice@example.com"])] | None = None
    """An e-mail address or an ID. Required with the role support, which sees one account at a time."""


class UsersQuery(OfAccount):
    tier: Tier | None = None
    role: Role | None = None
    state: State | None = None


class TokensQuery(OfAccount):
    state: KeyState | None = None
    start: Name | None = None
    """What the token begins with, as it is listed."""


class RequestsQuery(OfAccount):
    """A filter by feature, outcome or error code searches 7 days up to `to`, or 366 days of one account."""

    feature: Name | None = None
    outcome: Outcome | None = None
    error_code: Name | None = None
    from_: Annotated[Day | None, Field(alias="from", examples=["2026-01-01"])] = None
    """The first day, in UTC."""
    to: Annotated[Day | None, Field(examples=["2026-01-31"])] = None
    """The last day."""


class PeriodsQuery(OfAccount):
    state: PeriodState | None = None
    period: Annotated[MonthName | None, Field(examples=["2026-11"])] = None
    """A UTC month."""


class UserRow(AnswerBody):
    id: UUID
    email: str
    tier: Tier
    """The one that was given last, also if it has ended since."""
    tier_expires_at: datetime | None
    role: Role
    is_active: bool
    is_verified: bool
    created_at: datetime
    last_login_at: datetime | None


class UsersAnswer(ListAnswer):
    users: list[UserRow]


class TokenRow(AnswerBody):
    """An API key. Its token is not stored."""

    id: UUID
    user_id: UUID
    email: str | None
    name: str
    start: str
    """What the token begins with."""
    scopes: list[str]
    state: KeyState
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeysOfAccountsAnswer(ListAnswer):
    tokens: list[TokenRow]


class RequestRow(AnswerBody):
    """A metered call. What the user asked is not stored."""

    id: UUID
    """`metadata.request_id` of its answer."""
    user_id: UUID
    email: str | None
    api_key_id: UUID | None
    feature: str
    outcome: Outcome | None
    status: int | None
    error_code: str | None
    response_time_ms: int
    upstream_ms: int
    tier: str | None
    day: date
    """The UTC day that it counted for."""
    provider: str | None
    model: str | None
    units: dict[str, int] | None
    details: dict[str, Any] | None
    price_micros: int
    """What it cost the user, in millionths of the currency unit."""
    cost_micros: int
    """What it cost the service, in the same unit."""
    created_at: datetime


class RequestsAnswer(ListAnswer):
    requests: list[RequestRow]


class PeriodRow(AnswerBody):
    """A statement of one UTC month."""

    id: UUID
    user_id: UUID
    email: str | None
    """Null if the account was deleted."""
    period: str
    state: PeriodState
    requests: int
    credits_cents: int
    amount_cents: int
    """What is to be paid or was paid, after credits."""
    currency: str
    closed_at: datetime | None
    due_at: datetime | None
    paid_at: datetime | None
    payment_id: UUID | None


class PeriodsAnswer(ListAnswer):
    billing_periods: list[PeriodRow]


class ReasonBody(Body):
    reason: Reason | None = None
    """For the audit log. The account's owner can read it."""


class CreditBody(Body):
    cents: Annotated[int, Field(ge=1, le=LARGEST_CREDIT), WHOLE]
    reason: Reason
    """The account's owner can read it."""


class CreditAnswer(AnswerBody):
    id: UUID
    user_id: UUID
    cents: int
    reason: str


class SettingRow(AnswerBody):
    name: str
    title: str
    value: JsonValue
    """Null if it is not set, so that its default applies."""
    updated_by: UUID | None
    """The member of the staff who changed it. Null for a change from the command line."""
    updated_at: datetime | None


class SettingsAnswer(AnswerBody):
    settings: list[SettingRow]


class SettingBody(Body):
    value: JsonValue
    """Null unsets it, so that its default applies."""
    reason: Reason | None = None
    """For the audit log."""
