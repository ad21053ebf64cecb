"""Ending sessions. The row is closed first; the process that has the session is told of it, and ends the shell."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import Session

from auth.audit.record import record
from capabilities.terminal.models import CloseReason, SessionState, TerminalSession
from database import transaction
from database.notify import notify
from security.edge.problems import NotFound

SESSION_ENDED: Final = "terminal_session_ended"
"""Channel of NOTIFY. The payload is the id of a session whose row was closed."""


def end_session(
    user_id: UUID | None,
    session_id: UUID,
    reason: CloseReason,
    now: datetime,
    *,
    exit_status: int | None = None,
) -> bool:
    """False when it was closed before. `user_id`: whose it must be; None for whoever may end any. Raises NotFound."""
    this = TerminalSession.id == session_id
    if user_id is not None:
        this &= TerminalSession.user_id == user_id
    with transaction() as session:
        if end_sessions(session, this, reason, now, exit_status=exit_status):
            return True
        if not session.scalars(select(exists().where(this))).one():
            raise NotFound
        return False


def end_sessions(
    session: Session,
    which: ColumnElement[bool],
    reason: CloseReason,
    now: datetime,
    *,
    exit_status: int | None = None,
) -> int:
    """Those that are open. Returns how many they were. What was never opened leaves no event, as its opening left none."""
    closing = (
        update(TerminalSession)
        .where(which, TerminalSession.state != SessionState.CLOSED)
        .values(
            state=SessionState.CLOSED, closed_at=now, close_reason=reason, exit_status=exit_status, detached_at=None
        )
        .returning(TerminalSession.id, TerminalSession.user_id, TerminalSession.opened_at)
        .execution_options(synchronize_session=False)
    )
    closed = session.execute(closing).all()
    for session_id, user_id, opened_at in closed:
        notify(session, SESSION_ENDED, str(session_id))
        if opened_at is not None:
            record(
                session,
                "terminal_session_closed",
                now,
                user_id=user_id,
                terminal_session_id=str(session_id),
                reason=reason.value,
            )
    return len(closed)
