"""Giving a user the tier that the subscriptions make. The only writer of `users.tier`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.account_state import ACCOUNT_CHANGED
from auth.models import User
from database.notify import notify
from payments.models import EntitlementChange, Subscription
from payments.subscriptions.entitlement import entitlement

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


def lock_user(session: Session, user_id: UUID) -> User | None:
    """Take the user's row, before any row of `subscriptions`. None when there is no such user."""
    return session.get(User, user_id, with_for_update={"key_share": True}, populate_existing=True)


def recompute_tier(
    session: Session, user_id: UUID, *, cause: str, now: datetime, held: User | None = None
) -> StateChange | None:
    """Compute the tier anew and write it where it differs, with a line in the ledger. None when nothing changed.

    `cause` goes into the ledger: ids and names of ours, nothing secret. Call it in the transaction that changed one of the
    user's subscriptions, once. `held` is the row that was locked before; it is not locked twice when it is this user's.
    """
    user = held if held is not None and held.id == user_id else lock_user(session, user_id)
    if user is None:
        return None
    due = entitlement(session.scalars(select(Subscription).where(Subscription.user_id == user.id)), now)
    if (due.tier, due.expires_at, due.source) == (user.tier, user.tier_expires_at, user.tier_source):
        return None
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
    user.tier, user.tier_expires_at, user.tier_source = due.tier, due.expires_at, due.source
    user.state_version += 1
    user.updated_at = now
    session.flush()
    notify(session, ACCOUNT_CHANGED, f"{user.id} {user.state_version}")
    return StateChange(user.id, user.state_version)
