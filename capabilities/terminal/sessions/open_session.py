"""Asking for a session. It is only a row until a socket connects it (claim_session.py)."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from auth.account_change import hold_account
from auth.principal import Principal
from capabilities.terminal.models import CloseReason, SessionState, SshProfile, TerminalSession
from capabilities.terminal.plan_limits import TERMINAL_LIMITS
from capabilities.terminal.sessions.bodies import NewSessionBody
from capabilities.terminal.sessions.end_session import end_sessions
from capabilities.terminal.sessions.problems import LocalTerminalOff, TooManySessions
from database import transaction
from database.base import uuid7
from security.edge.problems import NotFound

CONNECT_WITHIN: Final = timedelta(minutes=10)
MOST_SESSIONS: Final = 1_000
"""Rows of one user, far above what a plan allows at once. The oldest closed ones go, or a client in a loop would fill the table."""


def open_session(caller: Principal, body: NewSessionBody, now: datetime) -> UUID:
    """Raises LocalTerminalOff, NotFound for a profile that the user does not have, TooManySessions, InvalidToken."""
    if body.session_type == "local":
        raise LocalTerminalOff
    with transaction() as session:
        hold_account(session, caller.user_id, caller.session_id)
        mine = TerminalSession.user_id == caller.user_id
        profile = exists().where(SshProfile.id == body.ssh_profile_id, SshProfile.user_id == caller.user_id)
        if not session.scalars(select(profile)).one():
            raise NotFound("You have no SSH profile with this ID")
        unused = (TerminalSession.state == SessionState.CREATED) & (TerminalSession.created_at <= now - CONNECT_WITHIN)
        end_sessions(session, mine & unused, CloseReason.EXPIRED, now)
        open_now = select(func.count()).where(mine, TerminalSession.state != SessionState.CLOSED)
        if session.scalars(open_now).one() >= TERMINAL_LIMITS[caller.tier].sessions:
            raise TooManySessions
        opened = TerminalSession(
            id=uuid7(),
            user_id=caller.user_id,
            profile_id=body.ssh_profile_id,
            state=SessionState.CREATED,
            name=body.name,
            rows=body.rows,
            cols=body.cols,
            created_at=now,
        )
        session.add(opened)
        _drop_oldest(session, caller.user_id)
        return opened.id


def _drop_oldest(session: Session, user_id: UUID) -> None:
    mine = TerminalSession.user_id == user_id
    too_many = select(TerminalSession.id).where(mine).order_by(TerminalSession.id.desc()).offset(MOST_SESSIONS)
    session.execute(
        delete(TerminalSession)
        .where(TerminalSession.id.in_(too_many), TerminalSession.state == SessionState.CLOSED)
        .execution_options(synchronize_session=False)
    )
