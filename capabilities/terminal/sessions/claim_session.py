"""Taking a session that was asked for, to connect it. Of several sockets that try, one gets it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from auth.principal import Principal
from capabilities.terminal.models import CloseReason, SessionState, TerminalSession
from capabilities.terminal.sessions.end_session import end_sessions
from capabilities.terminal.sessions.open_session import CONNECT_WITHIN
from capabilities.terminal.sessions.problems import SessionClosed, SessionTaken
from database import transaction
from security.edge.problems import NotFound

CREATED: Final = TerminalSession.state == SessionState.CREATED


@dataclass(frozen=True)
class ClaimedSession:
    """`profile_id` None: the profile was deleted meanwhile."""

    id: UUID
    profile_id: UUID | None
    name: str | None
    rows: int
    cols: int


def claim_session(caller: Principal, session_id: UUID, now: datetime) -> ClaimedSession:
    """From `created` to `connecting`. Raises NotFound, SessionClosed, SessionTaken."""
    this = and_(TerminalSession.id == session_id, TerminalSession.user_id == caller.user_id)
    found = select(TerminalSession.state, TerminalSession.close_reason, TerminalSession.exit_status).where(this)
    with transaction() as session:
        claimed = _claim(session, this, now)
        if claimed is not None:
            return claimed
        end_sessions(session, this & CREATED & ~_in_time(now), CloseReason.EXPIRED, now)
        there = session.execute(found).one_or_none()
    if there is None:
        raise NotFound
    if there.close_reason is not None:
        raise SessionClosed(CloseReason(there.close_reason), there.exit_status)
    raise SessionTaken


def claim_made(caller: Principal, profile_id: UUID | None, now: datetime) -> ClaimedSession | None:
    """The last one that was asked for with this profile, if nobody has connected it.

    A client that asks for a session first and does not name it later means that one.
    """
    mine = and_(TerminalSession.user_id == caller.user_id, TerminalSession.profile_id == profile_id)
    last = select(TerminalSession.id).where(mine, CREATED, _in_time(now)).order_by(TerminalSession.id.desc()).limit(1)
    with transaction() as session:
        return _claim(session, TerminalSession.id == last.scalar_subquery(), now)


def _claim(session: Session, which: ColumnElement[bool], now: datetime) -> ClaimedSession | None:
    claim = (
        update(TerminalSession)
        .where(which, CREATED, _in_time(now))
        .values(state=SessionState.CONNECTING)
        .returning(
            TerminalSession.id,
            TerminalSession.profile_id,
            TerminalSession.name,
            TerminalSession.rows,
            TerminalSession.cols,
        )
        .execution_options(synchronize_session=False)
    )
    claimed = session.execute(claim).one_or_none()
    return None if claimed is None else ClaimedSession(*claimed)


def _in_time(now: datetime) -> ColumnElement[bool]:
    return TerminalSession.created_at > now - CONNECT_WITHIN
