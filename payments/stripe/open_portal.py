"""Open Stripe's page on which a customer changes card, address and plan."""

from uuid import UUID

from database import reading, transaction
from payments.stripe.customer import forget_stripe_customer, known_stripe_customer
from payments.stripe.problems import StripeObjectMissing
from payments.stripe.rules import StripeRules
from payments.subscriptions.before_a_sale import present_seller
from security.edge.problems import Problem


class NoBillingAccount(Problem):
    """`managed_by` names who sold what there is; null for nobody."""

    status, error, title = 409, "no_billing_account", "You have not bought anything here yet"


def open_portal(rules: StripeRules, user_id: UUID, return_url: str | None) -> str:
    """The address works for a few minutes, so it is made for every click and kept nowhere. Raises NoBillingAccount."""
    with reading() as session:
        customer_id = known_stripe_customer(session, user_id)
    if customer_id is not None:
        try:
            return rules.handler.create_portal_session(customer_id, return_url or rules.redirects.back("managed"))
        except StripeObjectMissing:
            with transaction() as session:
                forget_stripe_customer(session, customer_id)
    with reading() as session:
        seller = present_seller(session, user_id, rules.handler.address.environment, rules.billing.clock())
    raise NoBillingAccount(managed_by=None if seller is None else seller.provider.value)
