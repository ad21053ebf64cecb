"""Who already sells to a user: nobody should pay twice for the same thing."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from payments.entitlement import access_until
from payments.models import Subscription
from payments.record_subscription import holding_of
from payments.subscription_status import ENDED, Provider, SubscriptionStatus

PAID_BY_APPLE = frozenset({SubscriptionStatus.GRACE, SubscriptionStatus.BILLING_RETRY})


@dataclass(frozen=True)
class Seller:
    """`stripe_subscription_id` is None for Apple."""

    provider: Provider
    stripe_subscription_id: str | None


def present_seller(session: Session, user_id: UUID, now: datetime) -> Seller | None:
    """The provider of a subscription that goes on, Stripe's first, because it can be changed from here.

    One that is unpaid or paused goes on too: paying brings it back, and a second one beside it would then be charged as well.
    """
    rows = session.scalars(
        select(Subscription)
        .where(Subscription.user_id == user_id, Subscription.status.not_in(ENDED))
        .order_by(Subscription.id)
    ).all()
    for row in rows:
        if row.stripe_subscription_id is not None:
            return Seller(Provider.STRIPE, row.stripe_subscription_id)
    for row in rows:
        holding = holding_of(row)
        until = access_until(holding)
        if holding.provider is Provider.APPLE and (
            (until is not None and now < until) or holding.status in PAID_BY_APPLE
        ):
            return Seller(Provider.APPLE, None)
    return None
