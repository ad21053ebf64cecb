"""The sessions of a user."""

from uuid import UUID

from sqlalchemy import select

from capabilities.terminal.models import CloseReason, TerminalSession
from capabilities.terminal.sessions.bodies import TerminalSessionAnswer, TerminalSessionsAnswer, session_answer
from capabilities.terminal.sessions.problems import SessionClosed, SessionTaken
from database import reading
from database.pages import newest_first, page_of
from security.api.cursor import ListQuery
from security.edge.problems import NotFound


def list_sessions(user_id: UUID, wanted: ListQuery, ws_url: str) -> TerminalSessionsAnswer:
    mine = select(TerminalSession).where(TerminalSession.user_id == user_id)
    with reading() as session:
        found = session.scalars(newest_first(mine, TerminalSession.id, wanted.cursor, wanted.limit))
        page = page_of([session_answer(row, ws_url) for row in found], wanted.limit)
    return TerminalSessionsAnswer(sessions=list(page.items), next_cursor=page.next_cursor)


def show_session(user_id: UUID, session_id: UUID, ws_url: str) -> TerminalSessionAnswer:
    """Raises NotFound."""
    this = select(TerminalSession).where(TerminalSession.id == session_id, TerminalSession.user_id == user_id)
    with reading() as session:
        row = session.scalars(this).one_or_none()
        if row is None:
            raise NotFound
        return session_answer(row, ws_url)


def read_end(user_id: UUID, session_id: UUID) -> SessionClosed:
    """Why it ended. Raises NotFound, and SessionTaken when it has not."""
    this = select(TerminalSession).where(TerminalSession.id == session_id, TerminalSession.user_id == user_id)
    with reading() as session:
        row = session.scalars(this).one_or_none()
        if row is None:
            raise NotFound
        if row.close_reason is None:
            raise SessionTaken
        return SessionClosed(CloseReason(row.close_reason), row.exit_status)
