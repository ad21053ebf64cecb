"""What the products that sell something once may do with its payments."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from database import reading
from metering.purchase import RefundRefused
from payments.models import Payment
from payments.purchases.follow_intent import fetch_intent, follow_intent_now
from payments.purchases.page_id import is_page
from payments.purchases.release import release
from payments.purchases.status import OPEN
from payments.stripe.problems import StripeObjectMissing, StripeStateConflict, StripeUnavailable
from payments.stripe.rules import StripeRules


@dataclass(frozen=True)
class PaymentsOfPurchases:
    """See `OneOffPayments`. `stripe` is None where none is set up."""

    stripe: StripeRules | None

    def end(self, kind: str, purchase_id: UUID) -> bool:
        """No payment of it is open afterwards, unless the bank decides on one."""
        query = select(Payment.id, Payment.external_id).where(
            Payment.purchase_kind == kind, Payment.purchase_id == purchase_id, Payment.status.in_(OPEN)
        )
        with reading() as session:
            found = [(row.id, row.external_id) for row in session.execute(query)]
        over = [release(self._rules, *each) for each in found]
        return all(over)

    def refund(self, payment_id: UUID, amount: int, key: str) -> None:
        """Stripe is asked first: one that was made before is not made again, also when Stripe has forgotten its key."""
        intent_id = intent_of(payment_id)
        if intent_id is None:
            raise RefundRefused
        try:
            if not any(each.key == key for each in fetch_intent(self._rules, intent_id, refunds=True).refunds):
                self._rules.handler.refund_part(intent_id, amount, key)
        except (StripeStateConflict, StripeObjectMissing):
            raise RefundRefused from None
        self.follow(payment_id)

    def follow(self, payment_id: UUID) -> None:
        intent_id = intent_of(payment_id)
        if intent_id is not None:
            with suppress(StripeObjectMissing):
                follow_intent_now(self._rules, fetch_intent(self._rules, intent_id, refunds=True))

    @property
    def _rules(self) -> StripeRules:
        if self.stripe is None:
            raise StripeUnavailable
        return self.stripe


def intent_of(payment_id: UUID) -> str | None:
    """None while nothing can have been paid."""
    with reading() as session:
        external_id = session.execute(select(Payment.external_id).where(Payment.id == payment_id)).scalar_one_or_none()
    return None if is_page(external_id) else external_id
