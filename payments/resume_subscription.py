"""Take a cancellation back, as long as the subscription has not ended."""

from uuid import UUID

from payments.own_stripe_subscription import own_stripe_subscription, shown_afterwards
from payments.read_subscription import OwnSubscription
from payments.stripe_rules import StripeRules


def resume_subscription(rules: StripeRules, user_id: UUID) -> OwnSubscription:
    """Can be repeated. After the end only a new purchase helps. Raises NotManagedHere."""
    found = own_stripe_subscription(rules, user_id)
    if found.ends_at is not None:
        rules.handler.keep_subscription(found)
    return shown_afterwards(rules, found.id, f"resumed by user:{user_id}")
