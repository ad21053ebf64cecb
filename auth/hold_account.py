"""Holding the caller's account for a change that lets somebody in."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.models import AuthSession, User
from security.edge.problems import InvalidToken


def hold_account(session: Session, user_id: UUID, session_id: UUID | None) -> User:
    """The user, with the row locked. `session_id` is None for an operator's command.

    The caller's session is asked for once more: a request that was let in, and waited for the row while its owner locked it
    out, must leave nothing behind. Raises InvalidToken when it has ended, or the user is gone.
    """
    user = session.get(User, user_id, with_for_update={"key_share": True}, populate_existing=True)
    if user is None:
        raise InvalidToken
    if session_id is not None:
        living = select(AuthSession.id).where(AuthSession.id == session_id, AuthSession.revoked_at.is_(None))
        if session.scalars(living.where(AuthSession.user_id == user_id)).one_or_none() is None:
            raise InvalidToken
    return user
