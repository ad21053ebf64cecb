"""Ending one session of one user, for whatever reason."""

from typing import Literal
from uuid import UUID

from sqlalchemy import update

from auth.account_state import raise_state_version
from auth.assembly import Auth
from auth.models import AuthSession
from database import transaction

Reason = Literal["signed_out", "reuse"]


def end_session(auth: Auth, *, user_id: UUID, session_id: UUID, reason: Reason) -> None:
    """The session's tokens stop at once. Nothing changes when it has ended already."""
    now = auth.clock()
    with transaction() as session:
        version = raise_state_version(session, user_id, now)
        session.execute(
            update(AuthSession)
            .where(AuthSession.id == session_id, AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
            .values(revoked_at=now, revoke_reason=reason)
            .execution_options(synchronize_session=False)
        )
    if version is not None:
        auth.states.changed(user_id, version)
