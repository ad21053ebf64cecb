"""Asking Stripe how a subscription is, and writing that down. Events, commands and the reconciler all end here."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import transaction
from database.jobs import JobName, Urgency
from payments.billing_counts import count
from payments.event_inbox import Applied, EventState
from payments.grant_tier import lock_user, recompute_tier
from payments.models import BillingCustomer, Subscription
from payments.record_subscription import Recorded, next_fetch_version, record_subscription
from payments.stripe_facts import STATUSES, best_item, fact_of
from payments.stripe_objects import StripeSubscription
from payments.stripe_problems import StripeObjectMissing
from payments.stripe_rules import StripeRules
from payments.subscription_status import ENDED, Provider, SubscriptionStatus

SETTLE_DOUBLES = JobName("settle_double_subscriptions", Urgency.PAYMENTS)
GIVE_BACK = JobName("give_back_subscription", Urgency.PAYMENTS)
NOT_RUNNING = frozenset({*ENDED, SubscriptionStatus.INCOMPLETE})


@dataclass(frozen=True)
class Fetched:
    """An answer of Stripe, and the number that was drawn before it was asked for."""

    version: int
    subscription: StripeSubscription


def fetch(rules: StripeRules, subscription_id: str) -> Fetched | None:
    """None when Stripe has none of this id. Holds no connection while it asks."""
    version = fetch_version()
    try:
        return Fetched(version, rules.handler.subscription(subscription_id))
    except StripeObjectMissing:
        return None


def fetch_version() -> int:
    with transaction() as session:
        return next_fetch_version(session)


def write_down(rules: StripeRules, fetched: Fetched, cause: str) -> Callable[[Session, datetime], Applied]:
    """The effect: the row, the owner's tier, and what a person must know or a job must do."""

    def effect(session: Session, now: datetime) -> Applied:
        found = fetched.subscription
        if found.live is not rules.handler.address.live:
            count(session, "stripe_other_mode", now)
            return Applied(EventState.IGNORED, note="other mode")
        customer = session.execute(
            select(BillingCustomer.user_id).where(BillingCustomer.stripe_customer_id == found.customer_id)
        ).one_or_none()
        if customer is None:
            count(session, "stripe_unknown_customer", now)
            return Applied(EventState.IGNORED, note="unknown customer")
        owner: UUID | None = customer.user_id
        if owner is not None and not lock_user(session, owner):
            owner = None
        fact = fact_of(found, rules.prices, fetched.version)
        recorded = record_subscription(session, fact, owner=owner, grace=rules.billing.grace, now=now)
        if recorded is None:
            count(session, "stripe_unknown_price", now)
            return Applied(EventState.IGNORED, note="unknown price")
        return settle_with_owner(session, now, recorded)

    def settle_with_owner(session: Session, now: datetime, recorded: Recorded) -> Applied:
        found = fetched.subscription
        if recorded.user_id is None:
            if found.status not in {"canceled", "incomplete_expired"}:
                # The account is gone. Nobody may be charged for what nobody can use.
                rules.enqueue(session, GIVE_BACK, subscription_id=found.id)
                count(session, "stripe_bought_for_deleted_account", now)
            return Applied(note="no owner")
        change = recompute_tier(session, recorded.user_id, cause=cause, now=now)
        if running_at_stripe(session, recorded.user_id) > 1:
            rules.enqueue(session, SETTLE_DOUBLES, customer_id=found.customer_id)
        if found.status not in STATUSES:
            count(session, "stripe_unknown_status", now)
        if best_item(found, rules.prices) is None:
            count(session, "stripe_unknown_price", now)
        return Applied(changes=() if change is None else (change,))

    return effect


def running_at_stripe(session: Session, user_id: UUID) -> int:
    return session.execute(
        select(func.count()).where(
            Subscription.user_id == user_id,
            Subscription.provider == Provider.STRIPE,
            Subscription.status.not_in(NOT_RUNNING),
        )
    ).scalar_one()


def refresh(rules: StripeRules, subscription_id: str, cause: str) -> Applied:
    """Ask and write down at once, as commands do that have just changed something at Stripe."""
    fetched = fetch(rules, subscription_id)
    if fetched is None:
        return Applied(EventState.IGNORED, note="missing at Stripe")
    return apply_fetched(rules, fetched, cause)


def apply_fetched(rules: StripeRules, fetched: Fetched, cause: str) -> Applied:
    with transaction() as session:
        applied = write_down(rules, fetched, cause)(session, rules.billing.clock())
    for change in applied.changes:
        rules.billing.announce(change.user_id, change.version)
    return applied
