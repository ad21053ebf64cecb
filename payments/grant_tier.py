"""Giving a user the tier that the subscriptions make. The only writer of `users.tier`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth.account_state import raise_state_version
from auth.models import User
from auth.tiers import Tier
from payments.entitlement import entitlement
from payments.models import EntitlementChange, Subscription
from payments.record_subscription import holding_of


@dataclass(frozen=True)
class StateChange:
    """For `auth.states.changed`, after the commit."""

    user_id: UUID
    version: int


def lock_user(session: Session, user_id: UUID) -> bool:
    """Take the user's row, before any row of `subscriptions`. False when there is no such user."""
    found = session.execute(
        select(User.id).where(User.id == user_id).with_for_update(key_share=True)
    ).scalar_one_or_none()
    return found is not None


def recompute_tier(session: Session, user_id: UUID, *, cause: str, now: datetime) -> StateChange | None:
    """Compute the tier anew and write it where it differs, with a line in the ledger. None when nothing changed.

    `cause` goes into the ledger: ids and names of ours, nothing secret. Call it in the transaction that changed one of the
    user's subscriptions.
    """
    user = session.execute(
        select(User.tier, User.tier_expires_at, User.tier_source)
        .where(User.id == user_id)
        .with_for_update(key_share=True)
    ).one_or_none()
    if user is None:
        return None
    rows = session.scalars(select(Subscription).where(Subscription.user_id == user_id))
    due = entitlement((holding_of(row) for row in rows), now)
    if (due.tier, due.expires_at, due.source) == (Tier(user.tier), user.tier_expires_at, user.tier_source):
        return None
    session.execute(
        update(User)
        .where(User.id == user_id)
        .values(tier=due.tier, tier_expires_at=due.expires_at, tier_source=due.source)
        .execution_options(synchronize_session=False)
    )
    session.add(
        EntitlementChange(
            user_id=user_id,
            from_tier=user.tier,
            to_tier=due.tier,
            expires_at=due.expires_at,
            source=due.source,
            cause=cause,
            at=now,
        )
    )
    version = raise_state_version(session, user_id, now)
    assert version is not None  # the row is locked
    return StateChange(user_id, version)
