"""Opening a session: the row behind a pair of tokens, and how many of them one user may have."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth.account_change import AccountChange
from auth.assembly import Auth
from auth.audit.record import record
from auth.device import Device, printable
from auth.models import AuthSession, User
from auth.profile import UserAnswer, profile_of
from auth.sessions.lifetimes import SessionLifetimes
from auth.sessions.token_pair import TokenPair, issue_tokens

SESSIONS_PER_USER = 20
SALT_BYTES = 32


@dataclass(frozen=True)
class SignedInUser:
    """A user with the tokens of a new session."""

    profile: UserAnswer
    tokens: TokenPair
    device_token: str | None = None
    """For a device that is new here: what it shows at its next sign-in."""


def open_session(
    auth: Auth,
    change: AccountChange,
    user: User,
    *,
    device: Device,
    remember: bool,
    device_token: str | None = None,
    event: str = "signed_in",
    **detail: Any,
) -> SignedInUser:
    """For a user who proved everything that the account asks for, and whose row is held. `event` is written with `detail`."""
    session, now = change.session, change.now
    user.last_login_at = now
    opened = insert_session(
        session, user_id=user.id, device=device, remember=remember, lifetimes=auth.settings.sessions, now=now
    )
    if _evict_surplus_sessions(session, user.id, now):
        change.permission_changed(user.id)
    record(session, event, now, user_id=user.id, session_id=opened.id, **detail)
    tokens = issue_tokens(opened, auth.access_tokens, auth.refresh_tokens)
    return SignedInUser(profile_of(user, now), tokens, device_token)


def insert_session(
    session: Session, *, user_id: UUID, device: Device, remember: bool, lifetimes: SessionLifetimes, now: datetime
) -> AuthSession:
    row = AuthSession(
        user_id=user_id,
        salt=secrets.token_bytes(SALT_BYTES),
        generation=0,
        created_at=now,
        auth_time=now,
        last_seen_at=now,
        idle_expires_at=now + lifetimes.idle_of(remember),
        expires_at=now + lifetimes.absolute_of(remember),
        remember=remember,
        device_name=device.name,
        user_agent=printable(device.user_agent),
        ip=device.ip,
    )
    session.add(row)
    session.flush()
    return row


def _evict_surplus_sessions(session: Session, user_id: UUID, now: datetime) -> bool:
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
    )
    return bool(ended.all())
