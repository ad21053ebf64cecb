"""Cancel: what was paid for stays usable to its end."""

from uuid import UUID

from payments.own_stripe_subscription import own_stripe_subscription, shown_afterwards
from payments.read_subscription import OwnSubscription
from payments.stripe_rules import StripeRules

NOTHING_PAID_FOR = frozenset({"unpaid", "paused", "incomplete"})


def cancel_subscription(rules: StripeRules, user_id: UUID) -> OwnSubscription:
    """Can be repeated. One that gives no access now ends at once. Raises NotManagedHere."""
    found = own_stripe_subscription(rules, user_id)
    if found.status in NOTHING_PAID_FOR:
        rules.handler.cancel_subscription(found.id)
    elif found.ends_at is None:
        rules.handler.cancel_at_period_end(found)
    return shown_afterwards(rules, found.id, f"cancelled by user:{user_id}")
