"""Asking Stripe how a subscription is, and writing that down. Events, commands and the reconciler all end here."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.models import User
from database import transaction
from database.jobs.declare import JobName, Urgency, enqueue_job
from payments.billing.counts import count
from payments.inbox.inbox import Applied, EventState
from payments.models import BillingCustomer, Subscription
from payments.stripe.facts import STATUSES, best_item, fact_of
from payments.stripe.objects import StripeSubscription
from payments.stripe.problems import StripeObjectMissing
from payments.stripe.rules import StripeRules
from payments.stripe_handler import environment_name
from payments.subscriptions.before_a_sale import apple_goes_on
from payments.subscriptions.close_account import CANCEL_AT_STRIPE
from payments.subscriptions.grant_tier import announce_change, lock_user, recompute_tier
from payments.subscriptions.record import SubscriptionFact, fetch_version, record_subscription
from payments.subscriptions.status import ENDED, Provider, SubscriptionStatus

END_DOUBLES = JobName("end_double_subscriptions", Urgency.PAYMENTS)
GIVE_BACK = JobName("give_back_subscription", Urgency.PAYMENTS)
NOT_RUNNING = frozenset({*ENDED, SubscriptionStatus.INCOMPLETE})
OVER_AT_STRIPE = frozenset({"canceled", "incomplete_expired"})
TEST_MODE = environment_name(live=False)


@dataclass(frozen=True)
class Fetched:
    """An answer of Stripe, and the number that was drawn before it was asked for. None: it has no such subscription."""

    version: int
    subscription_id: str
    subscription: StripeSubscription | None


def fetch(rules: StripeRules, subscription_id: str) -> Fetched:
    """Holds no connection while it asks."""
    version = fetch_version()
    try:
        return Fetched(version, subscription_id, rules.handler.subscription(subscription_id))
    except StripeObjectMissing:
        return Fetched(version, subscription_id, None)


def write_subscription(rules: StripeRules, session: Session, now: datetime, fetched: Fetched, cause: str) -> Applied:
    """The row, the owner's tier, and what a person must know or a job must do."""
    found = fetched.subscription
    if found is None:
        return write_missing(rules, session, now, fetched, cause)
    if found.live is not rules.handler.address.live:
        count(session, "stripe_other_mode", now)
        return Applied(EventState.IGNORED, note="other mode")
    known, owner = owner_of(session, found)
    if not known:
        count(session, "stripe_unknown_customer", now)
        return Applied(EventState.IGNORED, note="unknown customer")
    user = None if owner is None else lock_user(session, owner)
    fact = fact_of(found, rules.prices, fetched.version)
    recorded = record_subscription(
        session, fact, owner=None if user is None else user.id, grace=rules.billing.grace, now=now
    )
    if recorded is None:
        count(session, "stripe_unknown_price", now)
        return Applied(EventState.IGNORED, note="unknown price")
    charged = found.status not in OVER_AT_STRIPE
    if recorded.user_id is None:
        if charged:
            # The account is gone. Nobody may be charged for what nobody can use.
            enqueue_job(session, CANCEL_AT_STRIPE if recorded.was_owned else GIVE_BACK, subscription_id=found.id)
            count(session, "stripe_bought_for_deleted_account", now)
        return Applied(note="no owner")
    if (
        user is not None
        and recorded.is_new
        and charged
        and (why := bought_for_nothing(session, user, found, now)) is not None
    ):
        enqueue_job(session, GIVE_BACK, subscription_id=found.id)
        count(session, why, now)
    change = recompute_tier(session, recorded.user_id, cause=cause, now=now, held=user)
    if running_at_stripe(session, recorded.user_id, rules.handler.address.environment) > 1:
        enqueue_job(session, END_DOUBLES, user_id=str(recorded.user_id))
    if found.status not in STATUSES:
        count(session, "stripe_unknown_status", now)
    if best_item(found, rules.prices) is None:
        count(session, "stripe_unknown_price", now)
    return Applied(change=change)


def write_missing(rules: StripeRules, session: Session, now: datetime, fetched: Fetched, cause: str) -> Applied:
    """What Stripe has no record of cannot be charged and gives nothing.

    Of a live subscription only a live key can say so. One of test mode is over as soon as the key is live.
    """
    known = session.execute(
        select(Subscription.user_id, Subscription.environment, Subscription.product_id, Subscription.period_end).where(
            Subscription.stripe_subscription_id == fetched.subscription_id
        )
    ).one_or_none()
    if known is None or known.environment not in {rules.handler.address.environment, TEST_MODE}:
        count(session, "stripe_missing", now)
        return Applied(EventState.IGNORED, note="missing at Stripe")
    user = None if known.user_id is None else lock_user(session, known.user_id)
    ended = SubscriptionFact(
        provider=Provider.STRIPE,
        environment=known.environment,
        external_id=fetched.subscription_id,
        product_id=known.product_id or "",
        tier=None,  # it stays for the record
        status=SubscriptionStatus.EXPIRED,
        provider_status="missing",
        version=fetched.version,
        period_end=now if known.period_end is None else min(known.period_end, now),
    )
    owner = None if user is None else user.id
    record_subscription(session, ended, owner=owner, grace=rules.billing.grace, now=now)
    change = None
    if user is not None:
        change = recompute_tier(session, user.id, cause=f"{cause}, missing at Stripe", now=now, held=user)
    count(session, "stripe_missing", now)
    return Applied(change=change, note="missing at Stripe")


def owner_of(session: Session, found: StripeSubscription) -> tuple[bool, UUID | None]:
    """Whether this subscription is ours at all, and whose: its row knows, also after its customer was deleted at Stripe."""
    row = session.execute(
        select(Subscription.user_id).where(
            Subscription.stripe_subscription_id == found.id, Subscription.bound_at.is_not(None)
        )
    ).one_or_none()
    if row is not None:
        return True, row.user_id
    customer = session.execute(
        select(BillingCustomer.user_id).where(BillingCustomer.stripe_customer_id == found.customer_id)
    ).one_or_none()
    return (False, None) if customer is None else (True, customer.user_id)


def bought_for_nothing(session: Session, user: User, found: StripeSubscription, now: datetime) -> str | None:
    """Why a new subscription is no use to its buyer, as the name of a count: a page was paid that should have been closed."""
    if not user.is_active:
        return "stripe_bought_for_closed_account"
    if apple_goes_on(session, user.id, now, known_by=found.created):
        return "stripe_bought_beside_apple"
    return None


def running_at_stripe(session: Session, user_id: UUID, environment: str) -> int:
    return session.execute(
        select(func.count()).where(
            Subscription.user_id == user_id,
            Subscription.provider == Provider.STRIPE,
            Subscription.environment == environment,
            Subscription.status.not_in(NOT_RUNNING),
        )
    ).scalar_one()


def refresh(rules: StripeRules, subscription_id: str, cause: str) -> None:
    """Ask and write down at once, as commands do that have just changed something at Stripe."""
    apply_fetched(rules, fetch(rules, subscription_id), cause)


def apply_fetched(rules: StripeRules, fetched: Fetched, cause: str) -> None:
    with transaction() as session:
        applied = write_subscription(rules, session, rules.billing.clock(), fetched, cause)
    announce_change(rules.billing.announce, applied.change)
