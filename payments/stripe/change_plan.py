"""Change the plan: up at once, for the difference; down when the paid period is over."""

from uuid import UUID

from auth.tiers import Tier
from payments.bodies import SubscriptionItem
from payments.product_table import BillingCycle, Product
from payments.stripe.explain_refusal import PlanNotOnSale, explain_refusal
from payments.stripe.facts import best_item, tier_of
from payments.stripe.objects import StripeItem, StripeSubscription
from payments.stripe.own_subscription import changing, own_stripe_subscription, shown_afterwards
from payments.stripe.problems import CardDeclined, StripeRefused, StripeStateConflict
from payments.stripe.refresh import refresh
from payments.stripe.rules import StripeRules
from security.edge.problems import Problem

CHANGEABLE = frozenset({"active", "trialing"})
INTERVALS = {BillingCycle.MONTHLY: "month", BillingCycle.YEARLY: "year"}


class PaymentDue(Problem):
    """An earlier payment is open, and the card on file does not pay it. The portal takes another one."""

    status, error, title = 409, "payment_due", "Pay the earlier payment that is due first"


class SubscriptionEnding(Problem):
    status, error = 409, "subscription_ending"
    title = "The subscription is cancelled. Resume it before you change the plan"


class ChangeNotPaid(Problem):
    """The old plan goes on. Paying the open invoice within a day makes the change after all."""

    status, error, title = 402, "change_not_paid", "The difference could not be charged, so the plan was not changed"


def change_plan(rules: StripeRules, user_id: UUID, tier: Tier, cycle: BillingCycle) -> SubscriptionItem:
    """Asking for the present plan takes a planned change back.

    Raises PlanNotOnSale, CurrencyDiffers, NotManagedHere, PaymentDue, SubscriptionEnding, ChangeNotPaid.
    """
    product = rules.prices.on_sale.get((tier, cycle))
    if product is None:
        raise PlanNotOnSale
    with changing(rules, user_id) as before:
        paid = before.status == "past_due" and pay_debt(rules, before)
        found = own_stripe_subscription(rules, user_id) if paid else before
        try:
            change(rules, found, product, tier, cycle, cause=f"changed by user:{user_id}")
        except StripeRefused:
            explain_refusal(rules, product.product_id, found.customer_id)
            raise
    return shown_afterwards(rules, found.id, f"changed by user:{user_id}")


def change(
    rules: StripeRules, found: StripeSubscription, product: Product, tier: Tier, cycle: BillingCycle, *, cause: str
) -> None:
    """An upgrade at once, anything else at the end of the period."""
    if found.status not in CHANGEABLE or found.collection_paused is not None or found.update_pending:
        raise PaymentDue
    if found.ends_at is not None:
        raise SubscriptionEnding
    item = best_item(found, rules.prices) or found.items[0]
    if item.price_id == product.product_id:
        rules.handler.keep_price(found)
    elif is_upgrade(rules, item, tier, cycle):
        changed = rules.handler.change_price_now(found, product.product_id)
        if changed.update_pending:
            refresh(rules, found.id, cause)
            raise ChangeNotPaid
    elif found.next_price_id != product.product_id:
        rules.handler.change_price_later(found, product.product_id, INTERVALS[cycle])


def pay_debt(rules: StripeRules, found: StripeSubscription) -> bool:
    """Whether anything was paid. Stripe tries a repaired card only days later; whoever changes the plan wants to go on now."""
    if found.latest_invoice is None or found.latest_invoice.status != "open":
        return False
    try:
        rules.handler.pay_invoice(found.latest_invoice.id)
    except CardDeclined:
        return False
    except StripeStateConflict:
        return True  # somebody was quicker
    return True


def is_upgrade(rules: StripeRules, item: StripeItem, tier: Tier, cycle: BillingCycle) -> bool:
    """A higher tier, or the same one paid for longer ahead."""
    present = tier_of(item, rules.prices) or Tier.FREE
    if tier is not present:
        return tier.rank > present.rank
    return cycle is BillingCycle.YEARLY and item.interval == INTERVALS[BillingCycle.MONTHLY]
