"""Signing out: the session of a refresh token, or of an access token, ends."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from auth.assembly import Auth
from auth.models import AuthSession
from auth.sessions.end import end_session
from auth.tokens.refresh_token import read_refresh_token
from database import reading


def sign_out_by_refresh_token(auth: Auth, refresh_token: str) -> None:
    """A token that is spent ends its session too; one that was never ours does nothing. Both look alike to the caller."""
    presented = read_refresh_token(refresh_token)
    found = _find(presented.session_id) if presented is not None else None
    if presented is not None and found is not None and auth.refresh_tokens.is_genuine(presented, found.salt):
        end_session(auth, user_id=found.user_id, session_id=presented.session_id, reason="signed_out")


def sign_out_session(auth: Auth, session_id: UUID) -> None:
    found = _find(session_id)
    if found is not None:
        end_session(auth, user_id=found.user_id, session_id=session_id, reason="signed_out")


@dataclass(frozen=True)
class _Found:
    user_id: UUID
    salt: bytes


def _find(session_id: UUID) -> _Found | None:
    with reading() as session:
        query = select(AuthSession.user_id, AuthSession.salt).where(AuthSession.id == session_id)
        row = session.execute(query).one_or_none()
    return None if row is None else _Found(*row)
