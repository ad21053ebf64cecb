"""Opening a session: the row behind a pair of tokens, and how many of them one user may have."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth.models import AuthSession
from database.base import uuid7

SESSIONS_PER_USER = 20
SALT_BYTES = 32
LONGEST_USER_AGENT = 256


@dataclass(frozen=True)
class SessionLifetimes:
    """How long a session lives without being used, and at most."""

    idle: timedelta = timedelta(hours=24)
    absolute: timedelta = timedelta(days=7)
    remembered_idle: timedelta = timedelta(days=30)
    remembered_absolute: timedelta = timedelta(days=90)

    def idle_of(self, remember: bool) -> timedelta:
        return self.remembered_idle if remember else self.idle

    def absolute_of(self, remember: bool) -> timedelta:
        return self.remembered_absolute if remember else self.absolute


@dataclass(frozen=True)
class Device:
    """Where a sign-in comes from, as far as the request says. `name` is what its owner calls it."""

    user_agent: str | None
    ip: str
    name: str | None = None


@dataclass(frozen=True)
class OpenedSession:
    id: UUID
    user_id: UUID
    salt: bytes
    generation: int
    auth_time: datetime
    expires_at: datetime
    remember: bool


def insert_session(
    session: Session, *, user_id: UUID, device: Device, remember: bool, lifetimes: SessionLifetimes, now: datetime
) -> OpenedSession:
    expires_at = now + lifetimes.absolute_of(remember)
    row = AuthSession(
        id=uuid7(),
        user_id=user_id,
        salt=secrets.token_bytes(SALT_BYTES),
        generation=0,
        created_at=now,
        auth_time=now,
        last_seen_at=now,
        idle_expires_at=now + lifetimes.idle_of(remember),
        expires_at=expires_at,
        remember=remember,
        device_name=device.name,
        user_agent=printable(device.user_agent),
        ip=device.ip,
    )
    session.add(row)
    session.flush()
    return OpenedSession(row.id, user_id, row.salt, 0, now, expires_at, remember)


def evict_surplus_sessions(session: Session, user_id: UUID, now: datetime) -> bool:
    """End those used longest ago, beyond the number that a user may have. True when one was ended.

    The caller holds the user's row, so that parallel sign-ins count each other.
    """
    surplus = (
        select(AuthSession.id)
        .where(AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
        .where(AuthSession.idle_expires_at > now, AuthSession.expires_at > now)
        .order_by(AuthSession.last_seen_at.desc(), AuthSession.id.desc())
        .offset(SESSIONS_PER_USER)
    )
    ended = session.execute(
        update(AuthSession)
        .where(AuthSession.id.in_(surplus.scalar_subquery()), AuthSession.revoked_at.is_(None))
        .values(revoked_at=now, revoke_reason="evicted")
        .returning(AuthSession.id)
        .execution_options(synchronize_session=False)
    )
    return bool(ended.all())


def printable(user_agent: str | None) -> str | None:
    """At most 256 characters, and nothing that a terminal or a page would act upon."""
    if user_agent is None:
        return None
    return "".join(character if character.isprintable() else "?" for character in user_agent[:LONGEST_USER_AGENT])
