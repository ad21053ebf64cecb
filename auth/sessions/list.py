"""The sessions that a user has open: where one is signed in."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.assembly import Auth
from auth.models import AuthSession
from database import reading


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


@dataclass(frozen=True)
class SessionPage:
    sessions: tuple[OpenSession, ...]
    next_cursor: UUID | None


def list_sessions(auth: Auth, user_id: UUID, *, before: UUID | None, limit: int) -> SessionPage:
    """The newest first. `before` is the cursor of the page before this one."""
    now = auth.clock()
    query = (
        select(AuthSession)
        .where(AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
        .where(AuthSession.idle_expires_at > now, AuthSession.expires_at > now)
        .order_by(AuthSession.id.desc())
        .limit(limit + 1)
    )
    if before is not None:
        query = query.where(AuthSession.id < before)
    with reading() as session:
        found = [_open_session(row) for row in session.scalars(query)]
    page = tuple(found[:limit])
    return SessionPage(page, page[-1].id if len(found) > limit else None)


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
