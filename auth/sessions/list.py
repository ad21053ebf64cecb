"""The sessions that a user has open: where one is signed in."""

from datetime import datetime

from sqlalchemy import select

from auth.models import AuthSession
from auth.principal import Principal
from auth.sessions.bodies import SessionAnswer
from database import reading
from database.pages import Page, newest_first, page_of
from security.api.cursor import ListQuery


def list_sessions(caller: Principal, now: datetime, asked: ListQuery) -> Page[SessionAnswer]:
    """The newest first."""
    query = (
        select(AuthSession)
        .where(AuthSession.user_id == caller.user_id, AuthSession.revoked_at.is_(None))
        .where(AuthSession.idle_expires_at > now, AuthSession.expires_at > now)
    )
    with reading() as session:
        found = session.scalars(newest_first(query, AuthSession.id, asked.cursor, asked.limit))
        return page_of([_answer(row, caller) for row in found], asked.limit)


def _answer(row: AuthSession, caller: Principal) -> SessionAnswer:
    return SessionAnswer(
        id=row.id,
        current=row.id == caller.session_id,
        device_name=row.device_name,
        user_agent=row.user_agent,
        ip_first=row.ip,
        ip_last=row.ip_last or row.ip,
        created_at=row.created_at,
        last_used_at=row.last_seen_at,
        expires_at=min(row.idle_expires_at, row.expires_at),
        remember_me=row.remember,
    )
