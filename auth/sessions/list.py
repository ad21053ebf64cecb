"""The sessions that a user has open: where one is signed in."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.assembly import Auth
from auth.models import AuthSession
from database import reading
from database.pages import Page, newest_first, page_of


@dataclass(frozen=True)
class OpenSession:
    id: UUID
    device_name: str | None
    user_agent: str | None
    ip_first: str | None
    ip_last: str | None
    created_at: datetime
    last_used_at: datetime
    """When it was opened or refreshed."""
    expires_at: datetime
    """When it ends without being used again."""
    remember: bool


def list_sessions(auth: Auth, user_id: UUID, *, cursor: UUID | None, limit: int) -> Page[OpenSession]:
    """The newest first."""
    now = auth.clock()
    query = (
        select(AuthSession)
        .where(AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
        .where(AuthSession.idle_expires_at > now, AuthSession.expires_at > now)
    )
    with reading() as session:
        found = session.scalars(newest_first(query, AuthSession.id, cursor, limit))
        return page_of([_open_session(row) for row in found], limit)


def _open_session(row: AuthSession) -> OpenSession:
    return OpenSession(
        id=row.id,
        device_name=row.device_name,
        user_agent=row.user_agent,
        ip_first=row.ip,
        ip_last=row.ip_last or row.ip,
        created_at=row.created_at,
        last_used_at=row.last_seen_at,
        expires_at=min(row.idle_expires_at, row.expires_at),
        remember=row.remember,
    )
