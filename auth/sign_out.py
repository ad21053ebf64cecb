"""Signing out: the session of a refresh token, or of an access token, ends."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from auth.assembly import Auth
from auth.end_session import end_session
from auth.models import AuthSession, User
from auth.refresh_token import read_refresh_token
from database import reading


def sign_out_by_refresh_token(auth: Auth, refresh_token: str) -> None:
    """A token that is spent ends its session too; one that was never ours does nothing. Both look alike to the caller."""
    presented = read_refresh_token(refresh_token)
    found = _find(presented.session_id) if presented is not None else None
    if presented is not None and found is not None and auth.refresh_tokens.is_genuine(presented, found.salt):
        _end(auth, found)


def sign_out_session(auth: Auth, session_id: UUID) -> None:
    found = _find(session_id)
    if found is not None:
        _end(auth, found)


@dataclass(frozen=True)
class _Found:
    id: UUID
    user_id: UUID
    salt: bytes
    ended: bool
    state_version: int


def _find(session_id: UUID) -> _Found | None:
    with reading() as session:
        row = session.execute(
            select(AuthSession.user_id, AuthSession.salt, AuthSession.revoked_at, User.state_version)
            .join(User, User.id == AuthSession.user_id)
            .where(AuthSession.id == session_id)
        ).one_or_none()
    if row is None:
        return None
    return _Found(session_id, row.user_id, row.salt, row.revoked_at is not None, row.state_version)


def _end(auth: Auth, found: _Found) -> None:
    if found.ended:
        # A client that asks again may have met a process that stopped between its commit and dropping the copies.
        auth.states.changed(found.user_id, found.state_version)
        return
    end_session(auth, user_id=found.user_id, session_id=found.id, reason="signed_out")
