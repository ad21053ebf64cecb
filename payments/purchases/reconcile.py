"""Asking Stripe for payments that were begun and that nobody came back from."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from database import reading
from database.batch import work_through
from payments.inbox.reconcile import Step, batch_of
from payments.models import CHECKOUT, CheckoutIntent, Payment
from payments.purchases.follow_intent import follow_payment
from payments.purchases.read import follow_checkout
from payments.purchases.status import OPEN
from payments.stripe.problems import NOTHING_CAN_BE_ASKED
from payments.stripe.rules import StripeRules
from payments.stripe.start_checkout import mark_checkout

AT_ONCE = 50
LEFT_ALONE = timedelta(minutes=10)
"""What was begun a moment ago is still being worked on."""
FIRST_ID = UUID(int=0)


@dataclass(frozen=True)
class OpenPayments:
    """Pages and payments that nobody came back from."""

    rules: StripeRules
    name: str = "stripe_open_payments"

    def step(self, position: str | None) -> Step:
        after = UUID(position) if position else FIRST_ID
        left = self._left(after)
        drift = work_through(batch_of(self), left, self._follow, key=lambda row: row[0], unless=NOTHING_CAN_BE_ASKED)
        finished = len(left) < AT_ONCE
        return Step("" if finished else str(left[-1][0]), finished, len(left), drift)

    def _left(self, after: UUID) -> list[tuple[UUID, str, str | None]]:
        now = self.rules.billing.clock()
        checkouts = select(CheckoutIntent.id, CheckoutIntent.kind, CheckoutIntent.external_id).where(
            CheckoutIntent.state == "open",
            CheckoutIntent.kind == CHECKOUT,
            CheckoutIntent.id > after,
            CheckoutIntent.created_at < now - LEFT_ALONE,
        )
        payments = select(Payment.id, Payment.status, Payment.external_id).where(
            Payment.status.in_(OPEN), Payment.id > after, Payment.created_at < now - LEFT_ALONE
        )
        with reading() as session:
            rows = [*session.execute(checkouts.order_by(CheckoutIntent.id).limit(AT_ONCE))]
            rows += session.execute(payments.order_by(Payment.id).limit(AT_ONCE))
        return sorted(((row[0], row[1], row[2]) for row in rows), key=lambda row: row[0])[:AT_ONCE]

    def _follow(self, row: tuple[UUID, str, str | None]) -> bool:
        """Whether it turned out to be over."""
        row_id, kind, external_id = row
        if kind != CHECKOUT and external_id is not None:
            follow_payment(self.rules, row_id, external_id)
        elif kind == CHECKOUT and external_id is not None:
            follow_checkout(self.rules, row_id, external_id)
        elif kind == CHECKOUT:
            self._give_up(row_id)
        with reading() as session:
            state = session.execute(
                select(CheckoutIntent.state).where(CheckoutIntent.id == row_id)
                if kind == CHECKOUT
                else select(Payment.status).where(Payment.id == row_id)
            ).scalar_one()
        return state not in {"open", *OPEN}

    def _give_up(self, checkout_id: UUID) -> None:
        """Its page could not be reached by anybody, and would be closed by now."""
        with reading() as session:
            ends = session.execute(
                select(CheckoutIntent.expires_at).where(CheckoutIntent.id == checkout_id)
            ).scalar_one()
        if ends is not None and ends < self.rules.billing.clock():
            mark_checkout(self.rules, checkout_id, "failed")
