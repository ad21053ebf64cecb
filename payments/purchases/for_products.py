"""What the products that sell something once may do with its payments."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from database import reading
from metering.purchase import MadeRefund
from payments.models import Payment
from payments.purchases.release import release
from payments.purchases.status import OPEN
from payments.stripe.problems import StripeUnavailable
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

    def refund(self, payment_id: UUID, amount: int, key: str) -> MadeRefund:
        raise NotImplementedError

    @property
    def _rules(self) -> StripeRules:
        if self.stripe is None:
            raise StripeUnavailable
        return self.stripe
