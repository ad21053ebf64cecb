"""All sessions that are open, for operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.models import User
from capabilities.terminal.models import SessionState, TerminalSession
from database import reading


@dataclass(frozen=True)
class OpenSession:
    id: UUID
    state: str
    created_at: datetime
    email: str


def list_open() -> Sequence[OpenSession]:
    """The oldest first."""
    query = (
        select(TerminalSession.id, TerminalSession.state, TerminalSession.created_at, User.email)
        .join(User, User.id == TerminalSession.user_id)
        .where(TerminalSession.state != SessionState.CLOSED)
        .order_by(TerminalSession.id)
    )
    with reading() as session:
        return [OpenSession(*row) for row in session.execute(query)]
