"""What every part of the Stripe half works with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from metering.purchase import PurchaseKindOff, Purchases
from payments.billing.rules import BillingRules
from payments.product_table import ProductTable
from payments.stripe.redirects import Redirects
from payments.stripe_handler import StripeHandler


@dataclass(frozen=True)
class StripeRules:
    """`trial` is given once to a person, whoever they bought from; nothing for no trial."""

    handler: StripeHandler
    billing: BillingRules
    prices: ProductTable
    redirects: Redirects
    trial: timedelta = timedelta()
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    purchases: Callable[[], Sequence[Purchases]] = tuple
    """Each kind that is paid once. Those of products are known once these are built."""

    def purchases_of(self, kind: str) -> Purchases:
        """Raises PurchaseKindOff."""
        for each in self.purchases():
            if each.kind == kind:
                return each
        raise PurchaseKindOff
