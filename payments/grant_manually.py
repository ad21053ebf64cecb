"""Giving a tier by hand, as support or a contract wants it: a subscription whose provider is nobody."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.tiers import Tier
from database import transaction
from payments.billing_rules import BillingRules
from payments.grant_tier import StateChange, lock_user, recompute_tier
from payments.models import Subscription
from payments.subscription_status import Provider, SubscriptionStatus


class UserUnknown(LookupError):
    """There is no user with this id."""


def grant_manually(rules: BillingRules, user_id: UUID, tier: Tier, *, until: datetime | None, actor: str) -> bool:
    """Says whether the user's tier changed. Raises UserUnknown. See `write_grant`."""
    now = rules.clock()
    with transaction() as session:
        if not lock_user(session, user_id):
            raise UserUnknown(user_id)
        change = write_grant(session, user_id, tier, until=until, actor=actor, now=now)
    if change is not None:
        rules.announce(change.user_id, change.version)
    return change is not None


def grant_by_operator(session: Session, user_id: UUID, tier: Tier, until: datetime | None, now: datetime) -> None:
    """For `flask users set-tier` (auth/set_tier.py)."""
    write_grant(session, user_id, tier, until=until, actor="operator", now=now)


def write_grant(
    session: Session, user_id: UUID, tier: Tier, *, until: datetime | None, actor: str, now: datetime
) -> StateChange | None:
    """One manual grant for each user: a new one replaces the old one, and free takes it away. Paid tiers stay beside it.

    `until` is aware, None for no end. `actor` goes into the ledger. The caller holds the user's row.
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
    return recompute_tier(session, user_id, cause=f"manual:{actor}", now=now)
