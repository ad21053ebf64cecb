"""`/api/auth/security-events`: what happened to the caller's account and, for staff, to any account."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint
from pydantic import AwareDatetime, BeforeValidator, Field

from auth.assembly import Auth
from auth.audit.read import Event, EventFilter, EventPage, read_events
from auth.middleware import HasRole, InsufficientRole
from auth.principal import Principal, Role
from security.api.cursor import Cursor
from security.api.operation import WHOLE, Answer, AnswerBody, Body, operation
from security.logs.log import security_event

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


class EventsQuery(Body):
    """Newest first."""

    event: Annotated[str, Field(max_length=64, examples=["signed_in"])] | None = None
    """Only events with this name."""
    since: Instant | None = None
    """Only events at or after this time."""
    until: Instant | None = None
    """Only events before this time."""
    after: Cursor | None = None
    """`next` of the previous page."""
    limit: Annotated[int, Field(ge=1, le=100), WHOLE] = 50


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


class OwnEventsAnswer(AnswerBody):
    events: list[OwnEvent]
    next: Cursor | None
    """Send it as `after` to get the next page. Null on the last page."""


class AllEventsAnswer(AnswerBody):
    events: list[AnyEvent]
    next: Cursor | None


def event_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("events", __name__, url_prefix="/api/auth")

    @operation(
        routes,
        "GET",
        "/security-events",
        operation_id="listSecurityEvents",
        summary="List the security events of your account",
        guard=auth.signed_in,
        query=EventsQuery,
        answers={200: OwnEventsAnswer},
    )
    def own_security_events(caller: Principal, query: EventsQuery) -> Answer:
        """Returns the newest first. We keep events for 400 days."""
        page = _read(query, caller.user_id)
        return Answer(200, OwnEventsAnswer(events=[_own(event) for event in page.events], next=page.next))

    @operation(
        routes,
        "GET",
        "/admin/security-events",
        operation_id="listAllSecurityEvents",
        summary="List the security events of any account",
        guard=HasRole(auth.signed_in, Role.SUPPORT),
        query=AllEventsQuery,
        answers={200: AllEventsAnswer},
    )
    def all_security_events(caller: Principal, query: AllEventsQuery) -> Answer:
        """Admins can read all events. Support can read those of one account at a time: send its `user_id`."""
        if query.user_id is None and not caller.role.includes(Role.ADMIN):
            raise InsufficientRole("Support staff must send the user_id of an account")
        security_event("security_events_read", actor_id=caller.user_id, subject_id=query.user_id)
        page = _read(query, query.user_id)
        return Answer(200, AllEventsAnswer(events=[_any(event) for event in page.events], next=page.next))

    return routes


def _read(query: EventsQuery, user_id: UUID | None) -> EventPage:
    wanted = EventFilter(user_id, query.event, query.since, query.until, query.after)
    return read_events(wanted, query.limit)


def _own(event: Event) -> OwnEvent:
    by_staff = (event.actor_id is not None and event.actor_id != event.user_id) or event.detail.get("by") == "operator"
    return OwnEvent(
        id=event.id,
        occurred_at=event.occurred_at,
        event=event.event,
        by_staff=by_staff,
        session_id=event.session_id,
        ip=None if by_staff else event.ip,
        user_agent=None if by_staff else event.user_agent,
        request_id=event.request_id,
        detail=event.detail,
    )


def _any(event: Event) -> AnyEvent:
    return AnyEvent(
        id=event.id,
        occurred_at=event.occurred_at,
        event=event.event,
        user_id=event.user_id,
        actor_id=event.actor_id,
        session_id=event.session_id,
        ip=event.ip,
        user_agent=event.user_agent,
        request_id=event.request_id,
        detail=event.detail,
    )
