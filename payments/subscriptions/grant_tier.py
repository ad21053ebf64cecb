"""Giving a user the tier that the subscriptions make. The only writer of `users.tier`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth.models import User
from payments.models import EntitlementChange, Subscription
from payments.subscriptions.entitlement import entitlement
from payments.subscriptions.record import holding_of

Announce = Callable[[UUID, int], None]
"""`auth.states.changed`"""


@dataclass(frozen=True)
class StateChange:
    """A tier that changed. Call `announce_change` after the commit."""

    user_id: UUID
    version: int


def announce_change(announce: Announce, change: StateChange | None) -> None:
    if change is not None:
        announce(change.user_id, change.version)


@dataclass(frozen=True)
class LockedUser:
    """The user's row, which nobody else changes before the end of the transaction."""

    id: UUID
    is_active: bool
    tier: str
    tier_expires_at: datetime | None
    tier_source: str | None


def lock_user(session: Session, user_id: UUID) -> LockedUser | None:
    """Take the user's row, before any row of `subscriptions`. None when there is no such user."""
    query = select(User.id, User.is_active, User.tier, User.tier_expires_at, User.tier_source)
    row = session.execute(query.where(User.id == user_id).with_for_update(key_share=True)).one_or_none()
    return None if row is None else LockedUser(*row)


def recompute_tier(
    session: Session, user_id: UUID, *, cause: str, now: datetime, held: LockedUser | None = None
) -> StateChange | None:
    """Compute the tier anew and write it where it differs, with a line in the ledger. None when nothing changed.

    `cause` goes into the ledger: ids and names of ours, nothing secret. Call it in the transaction that changed one of the
    user's subscriptions, once. `held` is the row that was locked before; it is not locked twice when it is this user's.
    """
    user = held if held is not None and held.id == user_id else lock_user(session, user_id)
    if user is None:
        return None
    rows = session.scalars(select(Subscription).where(Subscription.user_id == user.id))
    due = entitlement((holding_of(row) for row in rows), now)
    if (due.tier, due.expires_at, due.source) == (user.tier, user.tier_expires_at, user.tier_source):
        return None
    version = session.execute(
        update(User)
        .where(User.id == user.id)
        .values(
            tier=due.tier,
            tier_expires_at=due.expires_at,
            tier_source=due.source,
            state_version=User.state_version + 1,
            updated_at=now,
        )
        .returning(User.state_version)
        .execution_options(synchronize_session=False)
    ).scalar_one()
    session.add(
        EntitlementChange(
            user_id=user.id,
            from_tier=user.tier,
            to_tier=due.tier,
            expires_at=due.expires_at,
            source=due.source,
            cause=cause,
            at=now,
        )
    )
    return StateChange(user.id, version)
