"""What a subscription at Stripe means for us: a pure function of Stripe's object and our table of prices."""

from auth.tiers import Tier
from payments.product_table import ProductTable
from payments.stripe.objects import StripeItem, StripeSubscription
from payments.stripe_handler import environment_name
from payments.subscriptions.record import RecurringPrice, SubscriptionFact
from payments.subscriptions.status import ENDED, Provider, SubscriptionStatus

STATUSES = {
    "trialing": SubscriptionStatus.TRIALING,
    "active": SubscriptionStatus.ACTIVE,
    # Stripe goes on trying for as long as the account's settings say, if need be for ever. Our grace has an end.
    "past_due": SubscriptionStatus.GRACE,
    "unpaid": SubscriptionStatus.UNPAID,
    "paused": SubscriptionStatus.PAUSED,
    "incomplete": SubscriptionStatus.INCOMPLETE,
    "incomplete_expired": SubscriptionStatus.EXPIRED,
    "canceled": SubscriptionStatus.CANCELED,
}

MONTHS = {"month": 1, "year": 12}


def fact_of(found: StripeSubscription, prices: ProductTable, version: int) -> SubscriptionFact:
    """The tier is that of the best item that we sell, and never what metadata or names say."""
    best = best_item(found, prices)
    following = found.next_price_id
    status = status_of(found)
    invoice = found.latest_invoice
    return SubscriptionFact(
        provider=Provider.STRIPE,
        environment=environment_name(live=found.live),
        external_id=found.id,
        product_id=best.price_id if best else "",
        tier=tier_of(best, prices) if best else None,
        status=status,
        provider_status=found.status,
        version=version,
        period_end=best.period_end if best else found.period_end,
        # The failure that began it all: the invoice is made when the charge is first tried.
        payment_failed_at=invoice.created if invoice and status is SubscriptionStatus.GRACE else None,
        cancel_at=found.ends_at,
        pending_tier=prices.tier_of(following) if following else None,
        trial=found.trial_end is not None,
        price=price_of(best) if best else None,
    )


def price_of(item: StripeItem) -> RecurringPrice | None:
    """None for a price of tiers or of metered use, and for one by the week or day: none of these is on offer."""
    months = MONTHS.get(item.interval or "")
    if item.unit_amount is None or item.quantity is None or item.currency is None or months is None:
        return None
    return RecurringPrice(item.unit_amount * item.quantity, item.currency, months * item.interval_count)


def status_of(found: StripeSubscription) -> SubscriptionStatus:
    """An unknown word grants nothing new: new ones have come with new versions."""
    status = STATUSES.get(found.status, SubscriptionStatus.UNKNOWN)
    if found.collection_paused == "void" and status not in ENDED:
        return SubscriptionStatus.PAUSED  # nobody pays for this time, whatever was paid or failed before
    if status is not SubscriptionStatus.ACTIVE:
        return status
    first = found.latest_invoice
    if first is not None and first.billing_reason == "subscription_create" and first.status != "paid":
        return SubscriptionStatus.INCOMPLETE  # a bank debit on its way
    return status


def best_item(found: StripeSubscription, prices: ProductTable) -> StripeItem | None:
    """None when nothing of it is ours."""
    ours = [
        (tier.rank, number) for number, item in enumerate(found.items) if (tier := tier_of(item, prices)) is not None
    ]
    return found.items[max(ours)[1]] if ours else None


def tier_of(item: StripeItem, prices: ProductTable) -> Tier | None:
    """By the price, else by its product: the table may name either."""
    return prices.tier_of(item.price_id) or prices.tier_of(item.product_id)
