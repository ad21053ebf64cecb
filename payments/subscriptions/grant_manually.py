"""Giving a tier by hand, as support or a contract wants it: a subscription whose provider is nobody."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.tiers import Tier
from payments.models import Subscription
from payments.subscriptions.grant_tier import recompute_tier
from payments.subscriptions.status import Provider, SubscriptionStatus


def grant_by_hand(
    session: Session, user_id: UUID, tier: Tier, until: datetime | None, *, now: datetime, by: str
) -> None:
    """For auth/operators/accounts.py, which announces the change. `until` is aware, None for no end. `by`: who gives it.

    One manual grant for each user: a new one replaces the old one, and free takes it away. Paid tiers stay beside it.
    """
    row = session.scalars(
        select(Subscription).where(Subscription.user_id == user_id, Subscription.provider == Provider.MANUAL)
    ).one_or_none()
    if row is None:
        row = Subscription(user_id=user_id, bound_at=now, provider=Provider.MANUAL, created_at=now)
        session.add(row)
    row.tier = tier
    row.status = SubscriptionStatus.CANCELED if tier is Tier.FREE else SubscriptionStatus.ACTIVE
    row.period_end = row.cancel_at = until
    row.updated_at = now
    session.flush()
    recompute_tier(session, user_id, cause=f"manual:{by}", now=now)
