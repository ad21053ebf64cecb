"""Signing out everywhere, or everywhere else."""

from uuid import UUID

from auth.account_state import raise_state_version
from auth.assembly import Auth
from auth.audit import record
from auth.end_session import end_sessions
from database import transaction


def end_all_sessions(auth: Auth, user_id: UUID, *, keep: UUID | None) -> int:
    """How many ended. `keep` is the one that stays."""
    now = auth.clock()
    with transaction() as session:
        version = raise_state_version(session, user_id, now)
        ended = end_sessions(session, user_id, now, "revoked", keep=keep)
        record(session, "sessions_revoked", now, user_id=user_id, session_id=keep, count=ended)
    if version is not None:
        auth.states.changed(user_id, version)
    return ended
