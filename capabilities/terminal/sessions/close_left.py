"""What a realtime process does at its start about sessions that its predecessor left: nobody has their shells any more."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from capabilities.terminal.models import CloseReason, SessionState, TerminalSession
from capabilities.terminal.sessions.end_session import end_sessions
from database.batch import purge

BATCH = "close_left_terminal_sessions"
CONNECTED = (
    SessionState.CONNECTING,
    SessionState.AWAITING_HOST_KEY,
    SessionState.AWAITING_SECRET,
    SessionState.ACTIVE,
    SessionState.DETACHED,
)


def close_left(own_ids: Collection[UUID], now: datetime) -> int:
    """All but `own_ids`, and but those that nobody has connected yet. Returns how many were closed."""

    def close(session: Session, which: ColumnElement[bool]) -> int:
        return end_sessions(session, which, CloseReason.SERVER_RESTART, now)

    left = select(TerminalSession.id).where(TerminalSession.state.in_(CONNECTED), TerminalSession.id.not_in(own_ids))
    return purge(BATCH, left, close)
