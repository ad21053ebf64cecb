"""Why Stripe refused to sell a plan: some reasons lie with the plan or the buyer, and have a way out.

Stripe gives these errors no code of their own, so the objects are asked instead of reading sentences.
"""

from payments.stripe.problems import StripeObjectMissing
from payments.stripe.rules import StripeRules
from security.edge.problems import Problem


class PlanNotOnSale(Problem):
    status, error, title = 409, "plan_not_on_sale", "This plan is not on sale here"


class CurrencyDiffers(Problem):
    """`currency` is the one that the buyer has paid in so far: Stripe charges one customer in one currency."""

    status, error = 409, "currency_differs"
    title = "You have paid in another currency before. Contact support, who can start a new billing account for you"


def explain_refusal(rules: StripeRules, price_id: str, customer_id: str) -> None:
    """Raises PlanNotOnSale or CurrencyDiffers where that was the reason."""
    try:
        price = rules.handler.price(price_id)
        paid_in = rules.handler.customer_currency(customer_id)
    except StripeObjectMissing:
        return
    if not price.active:
        raise PlanNotOnSale
    if paid_in not in {None, price.currency}:
        raise CurrencyDiffers(currency=paid_in)
