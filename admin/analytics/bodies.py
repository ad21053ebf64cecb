"""The JSON of reports: what is asked for, and the rows of each."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from auth.tiers import Tier
from payments.subscriptions.status import Provider
from security.api.days import Day
from security.api.models import AnswerBody, Body


class Interval(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class ReportQuery(Body):
    """Days are UTC."""

    from_: Annotated[Day | None, Field(alias="from", examples=["2026-01-01"])] = None
    """The first day. Default: 29 days before `to`."""
    to: Annotated[Day | None, Field(examples=["2026-01-31"])] = None
    """The last day. Default: today."""
    interval: Interval = Interval.DAY
    """A row for each day, week or month. Weeks begin on Monday (ISO 8601). Days before `from` and after `to` are left out of
    the first and the last one."""


class Row(AnswerBody):
    starts_on: date
    """The first day of the interval."""


class ActivityRow(Row):
    registered: int
    """New accounts."""
    verified: int
    """Accounts that confirmed their e-mail address, or were created with Apple or Google."""
    active_users: int
    """Users who made a metered call on a day: the average of the interval's days. Today's number may be up to five minutes old."""
    weekly_active_users: int | None
    """Users who made one in the 7 days up to the interval's last finished day. Null if no day is finished."""
    monthly_active_users: int | None
    """The same for 30 days."""


class SubscriptionsRow(Row):
    provider: Provider
    environment: str
    """`live`, or `test` for Stripe's test mode and Apple's sandbox."""
    tier: Tier
    active_at_start: int
    """Subscriptions that gave access when the interval began."""
    started: int
    ended: int
    active: int
    """Those that gave access when it ended: `active_at_start` plus `started` minus `ended`, unless a plan changed."""


class RevenueRow(Row):
    provider: Provider
    environment: str
    """`live`, or `test` for Stripe's test mode and Apple's sandbox."""
    currency: str
    paying_at_start: int
    """Subscriptions with a price that gave access when the interval began. Trials and manual grants have none."""
    paying_ended: int
    paying: int
    """Those that gave access when it ended."""
    churn_rate: float | None
    """`paying_ended` divided by `paying_at_start`. Null if there were none."""
    mrr_ended: int
    """Monthly recurring revenue of those that ended, in the currency's minor units."""
    mrr: int
    """Monthly recurring revenue when the interval ended, in the currency's minor units: prices before discounts, refunds and
    the store's fee. A price for a year counts with a twelfth."""


class UsageRow(Row):
    feature: str
    calls: int
    """Calls that were not refused by a limit."""
    succeeded: int
    failed: int
    refused: int
    """Calls that a limit refused. Only the first in a minute of each user and limit is counted."""
    success_rate: float | None
    """`succeeded` divided by `calls`. Null if there were none."""
    price_micros: int
    """What they cost users, in millionths of the currency's main unit."""
    cost_micros: int
    """What they cost the service, in the same unit."""


class ResponseTimesRow(Row):
    feature: str
    calls: int
    """Calls that were not refused by a limit."""
    p50_ms: int
    """Half of the calls took at most so long. Accurate to 5 %, like the others."""
    p95_ms: int
    p99_ms: int


class Report(AnswerBody):
    model_config = ConfigDict(serialize_by_alias=True)

    from_: Annotated[date, Field(serialization_alias="from")]
    to: date
    interval: Interval


class ActivityReport(Report):
    rows: list[ActivityRow]


class SubscriptionsReport(Report):
    rows: list[SubscriptionsRow]


class RevenueReport(Report):
    rows: list[RevenueRow]


class UsageReport(Report):
    rows: list[UsageRow]


class ResponseTimesReport(Report):
    rows: list[ResponseTimesRow]
