"""Work at Stripe that waits for nobody: ends what must not be charged, gives money back, lets go of what was set aside."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import reading, transaction
from database.batch import work_through
from database.jobs import Job, Jobs
from payments.billing_counts import count
from payments.close_account import CANCEL_AT_STRIPE
from payments.models import Payment
from payments.payment_status import OPEN
from payments.refresh_stripe_subscription import GIVE_BACK, SETTLE_DOUBLES, fetch_version, refresh
from payments.settle_payment import GIVE_MONEY_BACK, fetch_intent, give_up, settle_now, with_what_went_back
from payments.stripe_facts import best_item
from payments.stripe_objects import StripeSubscription
from payments.stripe_problems import StripeObjectMissing, StripeOutOfReach
from payments.stripe_rules import StripeRules

NOT_CHARGED = frozenset({"canceled", "incomplete_expired", "incomplete"})


def stripe_jobs(rules: StripeRules) -> tuple[Job, ...]:
    """Each may be repeated: what was cancelled or given back already stays so."""
    return (
        Job(CANCEL_AT_STRIPE, lambda subscription_id: cancel_at_stripe(rules, subscription_id)),
        Job(GIVE_BACK, lambda subscription_id: give_back(rules, subscription_id)),
        Job(SETTLE_DOUBLES, lambda customer_id: settle_doubles(rules, customer_id)),
        Job(GIVE_MONEY_BACK, lambda payment_id: give_money_back(rules, UUID(payment_id))),
        Job("release_reservations", lambda: release_reservations(rules), cron="* * * * *"),
    )


def enqueuer(rules: Callable[[], StripeRules]) -> Callable[..., int]:
    """`StripeRules.enqueue` of these very rules, which exist only when this is called."""

    def enqueue(session: Session, name: str, **arguments: object) -> int:
        return Jobs.of(stripe_jobs(rules())).enqueue(session, name, **arguments)

    return enqueue


def cancel_at_stripe(rules: StripeRules, subscription_id: str) -> None:
    """The account was deleted."""
    rules.handler.cancel_subscription(subscription_id)
    refresh(rules, subscription_id, "account deleted")


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


def settle_doubles(rules: StripeRules, customer_id: str) -> int:
    """One customer, one subscription: the oldest stays. Returns how many others were ended."""
    try:
        running = [each for each in rules.handler.subscriptions_of(customer_id) if is_charged(rules, each)]
    except StripeObjectMissing:
        return 0
    newer = sorted(running, key=lambda each: (each.created, each.id))[1:]
    for each in newer:
        structlog.get_logger().error("double_subscription", subscription=each.id)
        give_back(rules, each.id, "double")
    if newer:
        with transaction() as session:
            count(session, "stripe_double_subscription", rules.billing.clock(), by=len(newer))
    return len(newer)


def is_charged(rules: StripeRules, subscription: StripeSubscription) -> bool:
    return subscription.status not in NOT_CHARGED and best_item(subscription, rules.prices) is not None


def give_money_back(rules: StripeRules, payment_id: UUID) -> None:
    with reading() as session:
        intent_id = session.execute(select(Payment.external_id).where(Payment.id == payment_id)).scalar_one_or_none()
    if intent_id is None:
        return
    try:
        rules.handler.refund(intent_id, f"refund:{payment_id}")
    except StripeObjectMissing:
        with transaction() as session:
            count(session, "stripe_missing", rules.billing.clock())


def release_reservations(rules: StripeRules) -> int:
    """Payments whose time is over. Each has its own fate: what goes wrong with one keeps nobody else's stock."""
    due = due_reservations(rules.billing.clock())
    return work_through(
        "release_reservations",
        due,
        lambda each: release(rules, *each),
        key=lambda each: each[0],
        unless=StripeOutOfReach,
    )


def release(rules: StripeRules, payment_id: UUID, intent_id: str | None) -> int:
    """Stripe is asked first: if it was paid at the last moment, it is paid. 1 when it is over."""
    if intent_id is None:
        return give_up(rules, payment_id, None)
    try:
        fetched = fetch_intent(intent_id, rules)
        if fetched.intent.status == "processing":
            return 0  # the bank has not decided; what is set aside stays so
        if fetched.intent.status not in {"succeeded", "canceled"}:
            version = fetch_version()
            fetched = with_what_went_back(rules, version, rules.handler.cancel_intent(intent_id))
    except StripeObjectMissing:
        return give_up(rules, payment_id, intent_id)
    settle_now(rules, fetched)
    return 1


def due_reservations(now: datetime) -> list[tuple[UUID, str | None]]:
    """All of them: with a limit, as many that fail would keep everybody behind them waiting."""
    query = (
        select(Payment.id, Payment.external_id)
        .where(Payment.status.in_(OPEN), Payment.reserved_until <= now)
        .order_by(Payment.reserved_until)
    )
    with reading() as session:
        return [(row.id, row.external_id) for row in session.execute(query)]
