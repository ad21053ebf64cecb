"""Work at Stripe that waits for nobody: ends subscriptions that must not be charged, and gives their money back."""

from uuid import UUID

import structlog
from sqlalchemy import select

from database import reading, transaction
from database.jobs.declare import Job
from payments.billing.counts import count
from payments.models import CheckoutIntent, Subscription
from payments.stripe.cancel_and_resume import let_end
from payments.stripe.facts import best_item, status_of, tier_of
from payments.stripe.late_payments import GIVE_BACK_LATE, give_back_late_payment
from payments.stripe.objects import StripeSubscription
from payments.stripe.problems import StripeObjectMissing
from payments.stripe.refresh import END_DOUBLES, GIVE_BACK, OVER_AT_STRIPE, fetch, refresh
from payments.stripe.rules import StripeRules
from payments.stripe.start_checkout import close_page, intent_of
from payments.subscriptions.close_account import CANCEL_AT_STRIPE, CLOSE_CHECKOUT, STOP_RENEWING
from payments.subscriptions.status import ENDED, Provider, SubscriptionStatus

NOT_CHARGED = frozenset({"canceled", "incomplete_expired", "incomplete"})
PAID_FOR = {SubscriptionStatus.ACTIVE: 3, SubscriptionStatus.TRIALING: 2, SubscriptionStatus.GRACE: 1}


def stripe_jobs(rules: StripeRules) -> tuple[Job, ...]:
    """Each may be repeated: what was cancelled or given back already stays so."""
    return (
        Job(CANCEL_AT_STRIPE, lambda subscription_id: cancel_at_stripe(rules, subscription_id)),
        Job(STOP_RENEWING, lambda subscription_id: stop_renewing(rules, subscription_id)),
        Job(CLOSE_CHECKOUT, lambda checkout_id: close_checkout(rules, UUID(checkout_id))),
        Job(GIVE_BACK, lambda subscription_id: give_back(rules, subscription_id)),
        Job(GIVE_BACK_LATE, lambda event_id: give_back_late_payment(rules, UUID(event_id))),
        Job(END_DOUBLES, lambda user_id: end_doubles(rules, UUID(user_id))),
    )


def cancel_at_stripe(rules: StripeRules, subscription_id: str) -> None:
    """The account was deleted."""
    rules.handler.cancel_subscription(subscription_id)
    refresh(rules, subscription_id, "account deleted")


def stop_renewing(rules: StripeRules, subscription_id: str) -> None:
    """The account was closed, and may come back while the period that was paid for still runs."""
    found = fetch(rules, subscription_id).subscription
    if found is not None and found.status not in OVER_AT_STRIPE:
        let_end(rules, found)
    refresh(rules, subscription_id, "account closed")


def give_back(rules: StripeRules, subscription_id: str, reason: str = "nobody") -> None:
    """End a subscription that should not have been sold, and pay its last invoice back.

    The money first: whoever goes on after a crash looks for subscriptions that still run.
    """
    try:
        found = rules.handler.subscription(subscription_id)
    except StripeObjectMissing:
        return
    invoice = found.latest_invoice
    intent_id = rules.handler.intent_of_invoice(invoice.id) if invoice and invoice.amount_paid else None
    if intent_id is not None:
        rules.handler.refund(intent_id, f"give-back:{subscription_id}")
    rules.handler.cancel_subscription(subscription_id)
    refresh(rules, subscription_id, f"given back:{reason}")


def end_doubles(rules: StripeRules, user_id: UUID) -> int:
    """One user, one subscription: what is paid and highest stays, of equals the oldest. Returns how many others were ended."""
    found = (fetch(rules, each).subscription for each in known_running(rules, user_id))
    running = [each for each in found if each is not None and is_charged(rules, each)]
    running.sort(key=lambda each: (*worth(rules, each), each.created, each.id))
    for each in running[1:]:
        structlog.get_logger().error("double_subscription", subscription=each.id)
        give_back(rules, each.id, "double")
    if running[1:]:
        with transaction() as session:
            count(session, "stripe_double_subscription", rules.billing.clock(), by=len(running) - 1)
    return max(0, len(running) - 1)


def known_running(rules: StripeRules, user_id: UUID) -> list[str]:
    query = select(Subscription.stripe_subscription_id).where(
        Subscription.user_id == user_id,
        Subscription.provider == Provider.STRIPE,
        Subscription.environment == rules.handler.address.environment,
        Subscription.status.not_in(ENDED),
    )
    with reading() as session:
        return [str(each) for each in session.scalars(query)]


def is_charged(rules: StripeRules, subscription: StripeSubscription) -> bool:
    return subscription.status not in NOT_CHARGED and best_item(subscription, rules.prices) is not None


def worth(rules: StripeRules, subscription: StripeSubscription) -> tuple[int, int]:
    """The less, the more its owner would lose with it: first whether it is paid, then how much it gives."""
    best = best_item(subscription, rules.prices)
    tier = tier_of(best, rules.prices) if best else None
    return -PAID_FOR.get(status_of(subscription), 0), -tier.rank if tier else 0


def close_checkout(rules: StripeRules, checkout_id: UUID) -> None:
    """The account was closed, so the page must not be paid any more. What is paid all the same is given back."""
    with reading() as session:
        row = session.get(CheckoutIntent, checkout_id)
        intent = None if row is None or row.state != "open" else intent_of(row, is_new=False)
    if intent is not None:
        close_page(rules, intent)
