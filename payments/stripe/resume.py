"""Take a cancellation back, as long as the subscription has not ended."""

from uuid import UUID

from payments.bodies import SubscriptionItem
from payments.stripe.own_subscription import changing, shown_afterwards
from payments.stripe.rules import StripeRules


def resume_subscription(rules: StripeRules, user_id: UUID) -> SubscriptionItem:
    """Can be repeated. After the end only a new purchase helps. Raises NotManagedHere."""
    with changing(rules, user_id) as found:
        if found.ends_at is not None:
            rules.handler.keep_subscription(found)
    return shown_afterwards(rules, found.id, f"resumed by user:{user_id}")
