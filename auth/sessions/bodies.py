"""The JSON bodies of sessions."""

from datetime import datetime
from uuid import UUID

from auth.audit.bodies import Instant
from security.api.cursor import ListAnswer
from security.api.models import AnswerBody, Body


class SessionAnswer(AnswerBody):
    id: UUID
    current: bool
    """Whether this request uses the session."""
    device_name: str | None
    user_agent: str | None
    ip_first: str | None
    ip_last: str | None
    created_at: datetime
    last_used_at: datetime
    """When it was opened or last refreshed."""
    expires_at: datetime
    """When it ends if it is not used again."""
    remember_me: bool


class SessionsAnswer(ListAnswer):
    sessions: list[SessionAnswer]


class EndSessionsQuery(Body):
    keep_current: bool
    added_since: Instant | None = None
    """If someone else was in your account: also removes API keys, linked accounts and second factors added since this time.
    Needs a recent sign-in."""


class EndedAnswer(AnswerBody):
    ended: int
