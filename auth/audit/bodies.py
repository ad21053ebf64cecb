"""The JSON bodies of security events."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field

from security.api.cursor import ListAnswer, ListQuery
from security.api.models import AnswerBody

RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.IGNORECASE)


def _instant(text: object) -> object:
    """RFC 3339, 5.6, which is what `date-time` promises; pydantic would take the text of a number too."""
    if not isinstance(text, str) or RFC_3339.fullmatch(text) is None:
        raise ValueError("Enter a date and time such as 2026-01-31T12:00:00Z")
    try:  # in UTC, because PostgreSQL refuses offsets of 16 hours and more, which RFC 3339 allows
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("Enter a year from 1 to 9999") from None


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]


class EventsQuery(ListQuery):
    """Newest first."""

    event: Annotated[str, Field(max_length=64, examples=["signed_in"])] | None = None
    """Only events with this name."""
    since: Instant | None = None
    """Only events at or after this time."""
    until: Instant | None = None
    """Only events before this time."""


class AllEventsQuery(EventsQuery):
    user_id: UUID | None = None
    """Only events of this account."""


class OwnEvent(AnswerBody):
    id: UUID
    occurred_at: datetime
    event: str
    """What happened, such as `signed_in`. We may add new names."""
    by_staff: bool
    """Whether our staff did it. Their network address is not shown."""
    session_id: UUID | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    detail: dict[str, Any]
    """More about the event, such as `method` or `reason`. Contains no secrets."""


class AnyEvent(AnswerBody):
    id: UUID
    occurred_at: datetime
    event: str
    user_id: UUID | None
    """The account that it is about. Null when no account matched."""
    actor_id: UUID | None
    """Who did it, if it was someone else."""
    session_id: UUID | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    detail: dict[str, Any]


class OwnEventsAnswer(ListAnswer):
    events: list[OwnEvent]


class AllEventsAnswer(ListAnswer):
    events: list[AnyEvent]
