"""Orders of a shop: purchases that somebody placed before paying. What they are, the product knows that sells them."""

from uuid import UUID

from metering.purchase import ORDER, Purchase, PurchaseKindOff
from payments.stripe.rules import StripeRules
from security.edge.problems import NotFound, Problem


class OrderNotPayable(Problem):
    """`order_status` says why: only an order that is `pending` can be paid, until its time is over."""

    status, error, title = 409, "order_not_payable", "This order cannot be paid"


def order_purchase(rules: StripeRules, order_id: UUID) -> Purchase:
    """Raises NotFound where no shop is on."""
    try:
        rules.purchases_of(ORDER)
    except PurchaseKindOff:
        raise NotFound from None
    return Purchase(ORDER, order_id)
