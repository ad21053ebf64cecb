"""A web page that was loaded anew has lost its CSRF token. Its cookie gets it another one."""

from sqlalchemy import select

from auth.assembly import Auth
from auth.models import AuthSession
from auth.sessions.refresh import RefreshTokenNotValid
from auth.tokens.refresh_token import read_refresh_token
from database import reading


def give_csrf_token(auth: Auth, refresh_token: str) -> str:
    """Only for a token of ours: otherwise a stranger who knows the id of a session would get what is bound to it.

    Raises RefreshTokenNotValid.
    """
    presented = read_refresh_token(refresh_token)
    if presented is None:
        raise RefreshTokenNotValid
    with reading() as session:
        salt = session.scalars(
            select(AuthSession.salt).where(AuthSession.id == presented.session_id, AuthSession.revoked_at.is_(None))
        ).one_or_none()
    if salt is None or not auth.refresh_tokens.is_genuine(presented, salt):
        raise RefreshTokenNotValid
    return auth.cookies.csrf_token(presented.session_id)
