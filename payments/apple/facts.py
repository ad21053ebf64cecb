"""From what Apple says of a purchase to a fact about a subscription.

The state is computed anew from (transaction, renewal) every time; the type of a notification decides nothing. So every
order, repetition and loss of notifications ends in the same state.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from auth.tiers import Tier
from payments.apple.purchase import AppleEnvironment, ApplePurchase, AppleRenewal, AppleTransaction, milliseconds
from payments.product_table import ProductTable
from payments.subscriptions.record import RecurringPrice, SubscriptionFact
from payments.subscriptions.status import Provider, SubscriptionStatus

AVERAGE_MONTH = timedelta(days=365.25) / 12
DECIMALS = {
    **dict.fromkeys(("bif", "clp", "djf", "gnf", "isk", "jpy", "kmf", "krw", "pyg", "rwf", "ugx", "vnd", "vuv"), 0),
    **dict.fromkeys(("xaf", "xof", "xpf"), 0),
    **dict.fromkeys(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"), 3),
}
"""Decimals of the currencies that have not two (ISO 4217)."""

SANDBOX_GRANT = timedelta(days=1)
"""How long a purchase of an App Review account counts in production."""


def fact_of(purchase: ApplePurchase, products: ProductTable, now: datetime) -> SubscriptionFact:
    """Facts of one subscription are ordered by its purchase date, then by when they were signed.

    So what a device or a refund says of an earlier period never replaces the present one.
    """
    transaction, renewal = purchase.transaction, purchase.renewal
    tier = products.tier_of(transaction.product_id)
    status, word = status_of(transaction, renewal, now)
    stops = renewal is not None and not renewal.auto_renews
    return SubscriptionFact(
        provider=Provider.APPLE,
        environment=transaction.environment,
        external_id=transaction.original_id,
        product_id=transaction.product_id,
        tier=tier,
        status=status,
        provider_status=word,
        epoch=milliseconds(transaction.purchased_at),
        version=milliseconds(transaction.signed_at),
        renewal_version=None if renewal is None else milliseconds(renewal.signed_at),
        period_end=transaction.expires_at,
        grace_end=renewal.grace_ends_at if renewal is not None and status is SubscriptionStatus.GRACE else None,
        cancel_at=transaction.expires_at if stops else None,
        revoked_at=transaction.revoked_at,
        pending_tier=None if stops or renewal is None else pending_tier(renewal, products, tier),
        trial=transaction.free_trial,
        price=price_of(transaction),
        renewal_known=renewal is not None,
    )


def price_of(transaction: AppleTransaction) -> RecurringPrice | None:
    """The period tells for how long it was paid: an offer may be for another time than the product. Sandboxes shorten it."""
    paid, currency, ends = transaction.price_milliunits, (transaction.currency or "").lower(), transaction.expires_at
    if paid is None or not currency or ends is None or transaction.family_shared:
        return None
    months = max(1, round((ends - transaction.purchased_at) / AVERAGE_MONTH))
    return RecurringPrice(paid * 10 ** DECIMALS.get(currency, 2) // 1000, currency, months)


def status_of(
    transaction: AppleTransaction, renewal: AppleRenewal | None, now: datetime
) -> tuple[SubscriptionStatus, str]:
    """And the word for people.

    Apple may find out that a card fails up to a day before the period ends, so a retry ends nothing by itself.
    """
    expires_at = transaction.expires_at or transaction.purchased_at
    if transaction.revoked_at is not None:
        return SubscriptionStatus.REVOKED, "revoked"
    if transaction.upgraded:
        return SubscriptionStatus.EXPIRED, "upgraded"
    if renewal is not None and renewal.grace_ends_at is not None and renewal.grace_ends_at > expires_at:
        return SubscriptionStatus.GRACE, "grace period"
    if renewal is not None and renewal.in_billing_retry:
        return SubscriptionStatus.BILLING_RETRY, "billing retry"
    judged_at = now if renewal is None else max(transaction.signed_at, renewal.signed_at)
    if expires_at <= judged_at:
        return SubscriptionStatus.EXPIRED, "expired"
    if transaction.free_trial:
        return SubscriptionStatus.TRIALING, "trial"
    return SubscriptionStatus.ACTIVE, "active"


def pending_tier(renewal: AppleRenewal, products: ProductTable, tier: Tier | None) -> Tier | None:
    coming = None if renewal.next_product_id is None else products.tier_of(renewal.next_product_id)
    return None if coming is tier else coming


def shortened_for_sandbox(fact: SubscriptionFact, now: datetime) -> SubscriptionFact:
    """The fact of a sandbox purchase that counts in production, for a short while."""
    if fact.environment != AppleEnvironment.SANDBOX or fact.period_end is None:
        return fact
    end = min(fact.period_end, now + SANDBOX_GRANT)
    return replace(fact, period_end=end, cancel_at=end)
