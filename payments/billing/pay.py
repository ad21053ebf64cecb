"""A statement is a purchase: it is ordered once, and paid by one payment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.jobs.declare import enqueue_job
from metering.purchase import GIVE_MONEY_BACK, KnownRefund, Price, Purchase
from payments.billing.rules import PeriodRules
from payments.billing.settle_by_hand import BillingPeriodSettled, locked
from payments.billing.state import SMALLEST_PAYMENT, UNPAID, PeriodState
from payments.models import BillingPeriod
from security.edge.problems import NotFound, Problem

BILLING_PERIOD = "billing_period"


class AmountTooSmall(Problem):
    status, error, title = (
        409,
        "amount_too_small",
        "The amount is too small to be paid by card. It never becomes overdue, so you do not have to do anything",
    )


@dataclass(frozen=True)
class StatementPurchases:
    """See `Purchases`. A statement is there for its user alone, so nothing is set aside."""

    rules: PeriodRules
    kind: str = BILLING_PERIOD

    def price(self, session: Session, user_id: UUID, purchase: Purchase) -> Price:
        """Raises NotFound, BillingPeriodSettled, AmountTooSmall."""
        statement = session.scalars(
            select(BillingPeriod).where(BillingPeriod.id == purchase.id, BillingPeriod.user_id == user_id)
        ).one_or_none()
        if statement is None:
            raise NotFound
        if statement.state not in UNPAID:
            raise BillingPeriodSettled(state=statement.state)
        if statement.amount_cents < SMALLEST_PAYMENT:
            raise AmountTooSmall(amount_cents=statement.amount_cents)
        return Price(statement.amount_cents, statement.currency)

    def refuse_late(self, session: Session, purchase: Purchase) -> None:
        """Money for one that was settled in another way goes back."""

    def reserve(self, session: Session, purchase: Purchase) -> bool:
        """False for money that comes after the statement was settled in another way."""
        statement = locked(session, purchase.id)
        return statement is not None and statement.state in UNPAID

    def release(self, session: Session, purchase: Purchase) -> None:
        """It stays as it is."""

    def paid(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """Money for one that was settled in another way while its payment was open goes back."""
        statement = locked(session, purchase.id)
        if statement is None or statement.state not in UNPAID:
            if statement is None or statement.payment_id != purchase.payment_id:
                enqueue_job(session, GIVE_MONEY_BACK, payment_id=str(purchase.payment_id))
            return
        statement.state, statement.paid_at, statement.payment_id = PeriodState.PAID, now, purchase.payment_id

    def given_back(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """It is due again, with the whole time to pay it."""
        statement = locked(session, purchase.id)
        if statement is None or statement.payment_id != purchase.payment_id:
            return
        statement.state, statement.due_at = PeriodState.DUE, now + self.rules.due
        statement.paid_at = statement.payment_id = None

    def refunded(self, session: Session, purchase: Purchase, refunds: Sequence[KnownRefund], now: datetime) -> None:
        """A part that went back leaves it paid."""
