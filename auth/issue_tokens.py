"""The pair of tokens that a client of a session holds."""

from dataclasses import dataclass

from auth.access_token import AccessTokens
from auth.open_session import OpenedSession
from auth.refresh_token import RefreshTokens


@dataclass(frozen=True)
class TokenPair:
    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds that the access token lives."""


def issue_tokens(opened: OpenedSession, access: AccessTokens, refresh: RefreshTokens) -> TokenPair:
    token = access.issue(
        user_id=opened.user_id, session_id=opened.id, auth_time=opened.auth_time, not_after=opened.expires_at
    )
    return TokenPair(
        access_token=token.text,
        refresh_token=refresh.issue(opened.id, opened.generation, opened.salt),
        expires_in=token.expires_in,
    )
