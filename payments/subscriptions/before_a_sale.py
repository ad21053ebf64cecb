"""What is asked before a sale: who sells to the user already, so that nobody pays twice, and whether a free trial was used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from payments.models import Subscription
from payments.subscriptions.entitlement import access_until
from payments.subscriptions.status import ENDED, Provider, SubscriptionStatus

PAID_BY_APPLE = frozenset({SubscriptionStatus.GRACE, SubscriptionStatus.BILLING_RETRY})
COMES_BACK_AT_STRIPE = frozenset(
    {
        SubscriptionStatus.GRACE,
        SubscriptionStatus.UNPAID,
        SubscriptionStatus.PAUSED,
        SubscriptionStatus.INCOMPLETE,
    }
)
"""Paying or resuming brings it back, and a second one beside it would then be charged as well."""


@dataclass(frozen=True)
class Seller:
    """`stripe_subscription_id` is None for Apple."""

    provider: Provider
    stripe_subscription_id: str | None


def present_seller(session: Session, user_id: UUID, stripe_environment: str, now: datetime) -> Seller | None:
    """The provider of a subscription that goes on, Stripe's first, because it can be changed from here.

    What was sold in Stripe's other mode does not count, nor does a row whose end nobody told us.
    """
    at_stripe = [
        row
        for row in _rows(session, user_id, Provider.STRIPE)
        if row.environment == stripe_environment and (_runs(row, now) or row.status in COMES_BACK_AT_STRIPE)
    ]
    if at_stripe:
        first = max(at_stripe, key=lambda row: _runs(row, now))  # of equals the oldest
        return Seller(Provider.STRIPE, first.stripe_subscription_id)
    return Seller(Provider.APPLE, None) if apple_goes_on(session, user_id, now) else None


def apple_goes_on(session: Session, user_id: UUID, now: datetime, *, known_by: datetime | None = None) -> bool:
    """`known_by`: only what we knew of at that moment."""
    return any(
        (_runs(row, now) or row.status in PAID_BY_APPLE) and (known_by is None or row.created_at <= known_by)
        for row in _rows(session, user_id, Provider.APPLE)
    )


def trial_used(session: Session, user_id: UUID) -> bool:
    """Whether any subscription of the user, at any provider, has or had one: it is given once, whoever sells it."""
    query = select(exists().where(Subscription.user_id == user_id, Subscription.trial))
    return bool(session.execute(query).scalar_one())


def _rows(session: Session, user_id: UUID, provider: Provider) -> Sequence[Subscription]:
    return session.scalars(
        select(Subscription)
        .where(Subscription.user_id == user_id, Subscription.provider == provider, Subscription.status.not_in(ENDED))
        .order_by(Subscription.id)
    ).all()


def _runs(row: Subscription, now: datetime) -> bool:
    until = access_until(row)
    return until is not None and now < until
