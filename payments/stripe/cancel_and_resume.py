"""Cancel, so that what was paid for stays usable to its end; and take that back, as long as the subscription has not ended."""

from uuid import UUID

from payments.bodies import SubscriptionItem
from payments.stripe.objects import StripeSubscription
from payments.stripe.own_subscription import changing, shown_afterwards
from payments.stripe.rules import StripeRules

NOTHING_PAID_FOR = frozenset({"past_due", "unpaid", "paused", "incomplete"})


def cancel_subscription(rules: StripeRules, user_id: UUID) -> SubscriptionItem:
    """Can be repeated. Raises NotManagedHere."""
    with changing(rules, user_id) as found:
        let_end(rules, found)
    return shown_afterwards(rules, found.id, f"cancelled by user:{user_id}")


def resume_subscription(rules: StripeRules, user_id: UUID) -> SubscriptionItem:
    """Can be repeated. After the end only a new purchase helps. Raises NotManagedHere."""
    with changing(rules, user_id) as found:
        if found.ends_at is not None:
            rules.handler.keep_subscription(found)
    return shown_afterwards(rules, found.id, f"resumed by user:{user_id}")


def let_end(rules: StripeRules, found: StripeSubscription) -> None:
    """So that nothing more is charged: at the end of what was paid for, which is now when nothing was.

    When a subscription ends, Stripe stops collecting its open invoices (docs.stripe.com/api/subscriptions/cancel).
    """
    if found.status in NOTHING_PAID_FOR:
        rules.handler.cancel_subscription(found.id)
    elif not found.ends_with_period:
        rules.handler.cancel_at_period_end(found)
