"""Step-up authentication (RFC 9470): a session whose user has just proved again who it is."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from auth.assembly import Auth
from auth.audit.record import record
from auth.models import AuthSession
from auth.principal import Principal
from auth.tokens.access_token import IssuedToken
from security.edge.problems import InvalidToken


def step_up(auth: Auth, session: Session, caller: Principal, *, method: str) -> IssuedToken:
    """For every way of proving again: the session's `auth_time` is now, and so is that of the new access token.

    In the caller's transaction. Raises InvalidToken when the session has ended.
    """
    now = auth.clock()
    expires_at = session.execute(
        update(AuthSession)
        .where(AuthSession.id == caller.session_id, AuthSession.user_id == caller.user_id)
        .where(AuthSession.revoked_at.is_(None), AuthSession.expires_at > now)
        .values(auth_time=now)
        .returning(AuthSession.expires_at)
    ).scalar_one_or_none()
    if expires_at is None:
        raise InvalidToken
    record(session, "reauthenticated", now, user_id=caller.user_id, session_id=caller.session_id, method=method)
    return auth.access_tokens.issue(
        user_id=caller.user_id, session_id=caller.session_id, auth_time=now, not_after=expires_at
    )
