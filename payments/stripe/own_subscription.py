"""The subscription at Stripe that a user's command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from sqlalchemy import select

from database import reading
from payments.bodies import SubscriptionItem
from payments.models import Subscription
from payments.stripe.objects import StripeSubscription
from payments.stripe.problems import StripeObjectMissing, StripeRefused
from payments.stripe.refresh import OVER_AT_STRIPE, apply_fetched, fetch, refresh
from payments.stripe.rules import StripeRules
from payments.subscriptions.before_a_sale import present_seller
from payments.subscriptions.read import own_subscription
from security.edge.problems import Problem


class NotManagedHere(Problem):
    """`managed_by` names who else sold a subscription; null for nobody."""

    status, error, title = 409, "not_managed_here", "You have no subscription that can be changed here"


def own_stripe_subscription(rules: StripeRules, user_id: UUID) -> StripeSubscription:
    """As Stripe has it now. Raises NotManagedHere."""
    with reading() as session:
        seller = present_seller(session, user_id, rules.handler.address.environment, rules.billing.clock())
    if seller is None or seller.stripe_subscription_id is None:
        raise NotManagedHere(managed_by=None if seller is None else seller.provider.value)
    fetched = fetch(rules, seller.stripe_subscription_id)
    found = fetched.subscription
    if found is None or found.status in OVER_AT_STRIPE:
        apply_fetched(rules, fetched, "asked")
        raise NotManagedHere(managed_by=None)
    return found


@contextmanager
def changing(rules: StripeRules, user_id: UUID) -> Iterator[StripeSubscription]:
    """The subscription to change, as Stripe has it now. Raises NotManagedHere, also when it ends before it is changed, and
    StripeRefused when something else that we named is missing at Stripe, such as a price.
    """
    try:
        yield own_stripe_subscription(rules, user_id)
    except (StripeRefused, StripeObjectMissing) as refusal:
        own_stripe_subscription(rules, user_id)  # Stripe has no code for "it has ended", so it is asked
        if isinstance(refusal, StripeRefused):
            raise
        structlog.get_logger().error("stripe_object_missing", param=refusal.param)
        raise StripeRefused from None


def shown_afterwards(rules: StripeRules, subscription_id: str, cause: str) -> SubscriptionItem:
    """Asked anew after the command, so that the answer is what Stripe will say to anybody else as well."""
    refresh(rules, subscription_id, cause)
    with reading() as session:
        row = session.scalars(select(Subscription).where(Subscription.stripe_subscription_id == subscription_id)).one()
        return own_subscription(row, {})
