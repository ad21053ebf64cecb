"""That a server let the user in."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update

from auth.audit.record import record
from auth.principal import Principal
from capabilities.terminal.models import SessionState, TerminalSession
from database import transaction


def note_opened(caller: Principal, session_id: UUID, now: datetime) -> bool:
    """Its row is `active` from here on, and an event says so. False when it was closed meanwhile: then the shell must end too."""
    active = (
        update(TerminalSession)
        .where(
            TerminalSession.id == session_id,
            TerminalSession.user_id == caller.user_id,
            TerminalSession.state != SessionState.CLOSED,
        )
        .values(state=SessionState.ACTIVE, opened_at=now)
        .returning(TerminalSession.profile_id)
        .execution_options(synchronize_session=False)
    )
    with transaction() as session:
        opened = session.execute(active).one_or_none()
        if opened is None:
            return False
        detail = {
            "terminal_session_id": str(session_id),
            "profile_id": None if opened.profile_id is None else str(opened.profile_id),
        }
        record(session, "terminal_session_opened", now, user_id=caller.user_id, session_id=caller.session_id, **detail)
        return True
