"""Taking a session that was asked for, to connect it. Of several sockets that try, one gets it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, select, update

from auth.principal import Principal
from capabilities.terminal.models import CloseReason, SessionState, TerminalSession
from capabilities.terminal.sessions.end_session import end_sessions
from capabilities.terminal.sessions.open_session import CONNECT_WITHIN
from capabilities.terminal.sessions.problems import SessionClosed, SessionTaken
from database import transaction
from security.edge.problems import NotFound


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
    created = TerminalSession.state == SessionState.CREATED
    in_time = TerminalSession.created_at > now - CONNECT_WITHIN
    claim = (
        update(TerminalSession)
        .where(this, created, in_time)
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
    found = select(TerminalSession.state, TerminalSession.close_reason, TerminalSession.exit_status).where(this)
    with transaction() as session:
        claimed = session.execute(claim).one_or_none()
        if claimed is not None:
            return ClaimedSession(*claimed)
        end_sessions(session, this & created & ~in_time, CloseReason.EXPIRED, now)
        there = session.execute(found).one_or_none()
    if there is None:
        raise NotFound
    if there.close_reason is not None:
        raise SessionClosed(CloseReason(there.close_reason), there.exit_status)
    raise SessionTaken
