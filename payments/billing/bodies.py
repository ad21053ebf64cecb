"""The JSON and the CSV of statements."""

from datetime import datetime
from uuid import UUID

from payments.billing.state import PeriodState
from security.api.cursor import ListAnswer
from security.api.models import AnswerBody, Body


class BillingPeriodAnswer(AnswerBody):
    id: UUID
    period: str
    """The UTC month, as `YYYY-MM`."""
    state: PeriodState
    """`open`: the month still runs, and the figures change. `due`: to be paid until `due_at`."""
    requests: int
    """Requests that cost money."""
    credits_cents: int
    """What was taken off."""
    amount_cents: int
    """What is to be paid or was paid, after credits."""
    currency: str
    closed_at: datetime | None
    due_at: datetime | None
    """Null if there is nothing to pay."""
    paid_at: datetime | None
    payment_id: UUID | None
    """The payment that paid it. Null if it was paid in another way."""


class BillingPeriodsAnswer(ListAnswer):
    billing_periods: list[BillingPeriodAnswer]


class StatementLine(AnswerBody):
    kind: str
    """`charge` or `credit`."""
    id: UUID
    """Of a charge, the `request_id` of the request."""
    at: datetime
    about: str
    """The feature of a charge, or the reason of a credit."""
    amount_micros: int
    """Millionths of the currency unit. Negative for a credit."""
    currency: str


class PaidPeriod(Body):
    """What an Idempotency-Key of a payment stands for."""

    billing_period_id: UUID
