"""The pair of tokens that a client of a session holds."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auth.models import AuthSession
from auth.tokens.access_token import AccessTokens
from auth.tokens.refresh_token import RefreshTokens


@dataclass(frozen=True)
class TokenPair:
    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds that the access token lives."""
    session_id: UUID
    session_ends_at: datetime | None
    """When the device should forget the session by itself; None: when its browser is closed."""


def issue_tokens(opened: AuthSession, access: AccessTokens, refresh: RefreshTokens) -> TokenPair:
    token = access.issue(
        user_id=opened.user_id, session_id=opened.id, auth_time=opened.auth_time, not_after=opened.expires_at
    )
    return TokenPair(
        access_token=token.text,
        refresh_token=refresh.issue(opened.id, opened.generation, opened.salt),
        expires_in=token.expires_in,
        session_id=opened.id,
        session_ends_at=opened.expires_at if opened.remember else None,
    )
