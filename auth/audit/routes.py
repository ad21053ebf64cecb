"""`/api/auth/security-events`: what happened to the own account, and for the staff, to any."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint
from pydantic import AwareDatetime, BeforeValidator, Field

from auth.assembly import Auth
from auth.audit.read import Event, EventFilter, read_events
from auth.middleware import HasRole, InsufficientRole
from auth.principal import Principal
from auth.roles import Role
from database.pages import Page
from security.api.cursor import ListAnswer, ListQuery
from security.api.operation import Answer, AnswerBody, operation
from security.logs.log import security_event

RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.IGNORECASE)


def _instant(text: object) -> object:
    """RFC 3339, 5.6, which is what `date-time` promises; pydantic would take the text of a number too."""
    if not isinstance(text, str) or RFC_3339.fullmatch(text) is None:
        raise ValueError("an instant is written as 2026-01-31T12:00:00Z")
    try:  # in UTC, because PostgreSQL refuses offsets of 16 hours and more, which RFC 3339 allows
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant lies in the years 1 to 9999") from None


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]


class EventsQuery(ListQuery):
    """Newest first. There is no other order and no other filter."""

    event: Annotated[str, Field(max_length=64, examples=["signed_in"])] | None = None
    """Only events of this name."""
    since: Instant | None = None
    """Not before this instant."""
    until: Instant | None = None
    """Before this instant."""


class AllEventsQuery(EventsQuery):
    user_id: UUID | None = None
    """Only events of this account."""


class OwnEvent(AnswerBody):
    id: UUID
    occurred_at: datetime
    event: str
    """A name in the past tense, such as `signed_in`. More names may come."""
    by_staff: bool
    """Done by the operators of the service. Where they did it from is not shown."""
    session_id: UUID | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    detail: dict[str, Any]
    """What the event says beyond this, such as `method` or `reason`. Never secret."""


class AnyEvent(AnswerBody):
    id: UUID
    occurred_at: datetime
    event: str
    user_id: UUID | None
    """Whose account it concerns; null when there is no such account."""
    actor_id: UUID | None
    """Who did it, when that was somebody else."""
    session_id: UUID | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    detail: dict[str, Any]


class OwnEventsAnswer(ListAnswer):
    events: list[OwnEvent]


class AllEventsAnswer(ListAnswer):
    events: list[AnyEvent]


def event_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("events", __name__, url_prefix="/api/auth")

    @operation(
        routes,
        "GET",
        "/security-events",
        operation_id="listSecurityEvents",
        summary="List what happened to your account",
        guard=auth.signed_in,
        query=EventsQuery,
        answers={200: OwnEventsAnswer},
    )
    def own_security_events(caller: Principal, query: EventsQuery) -> Answer:
        """Newest first. Events are kept for 400 days."""
        page = _read(query, caller.user_id)
        return Answer(200, OwnEventsAnswer(events=[_own(event) for event in page.items], next_cursor=page.next_cursor))

    @operation(
        routes,
        "GET",
        "/admin/security-events",
        operation_id="listAllSecurityEvents",
        summary="List what happened to any account",
        guard=HasRole(auth.signed_in, Role.SUPPORT),
        query=AllEventsQuery,
        answers={200: AllEventsAnswer},
    )
    def all_security_events(caller: Principal, query: AllEventsQuery) -> Answer:
        """Admins read all events. Support reads those of one account at a time, and names it in `user_id`."""
        if query.user_id is None and not caller.role.includes(Role.ADMIN):
            raise InsufficientRole("Name the account in user_id")
        security_event("security_events_read", actor_id=caller.user_id, subject_id=query.user_id)
        page = _read(query, query.user_id)
        return Answer(200, AllEventsAnswer(events=[_any(event) for event in page.items], next_cursor=page.next_cursor))

    return routes


def _read(query: EventsQuery, user_id: UUID | None) -> Page[Event]:
    wanted = EventFilter(user_id, query.event, query.since, query.until, query.cursor)
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
