"""`/api/auth/security-events`: what happened to the caller's account and, for staff, to any account."""

from dataclasses import replace

from flask import Blueprint

from auth.assembly import Auth
from auth.audit.bodies import AllEventsAnswer, AllEventsQuery, AnyEvent, EventsQuery, OwnEvent, OwnEventsAnswer
from auth.audit.read import read_events
from auth.middleware import InsufficientRole
from auth.principal import Principal, Role
from security.api.operation import Answer, operation
from security.logs.log import security_event


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
        page = read_events(query, caller.user_id)
        return Answer(200, OwnEventsAnswer(events=[_own(event) for event in page.items], next_cursor=page.next_cursor))

    @operation(
        routes,
        "GET",
        "/admin/security-events",
        operation_id="listAllSecurityEvents",
        summary="List the security events of any account",
        guard=replace(auth.signed_in, role=Role.SUPPORT),
        query=AllEventsQuery,
        answers={200: AllEventsAnswer},
    )
    def all_security_events(caller: Principal, query: AllEventsQuery) -> Answer:
        """Admins can read all events. Support can read those of one account at a time: send its `user_id`."""
        if query.user_id is None and not caller.role.includes(Role.ADMIN):
            raise InsufficientRole("Support staff must send the user_id of an account")
        security_event("security_events_read", actor_id=caller.user_id, subject_id=query.user_id)
        page = read_events(query, query.user_id)
        return Answer(200, AllEventsAnswer(events=list(page.items), next_cursor=page.next_cursor))

    return routes


def _own(event: AnyEvent) -> OwnEvent:
    by_staff = (event.actor_id is not None and event.actor_id != event.user_id) or event.detail.get("by") == "operator"
    said = event.model_dump(exclude={"user_id", "actor_id"})
    return OwnEvent(**said | ({"ip": None, "user_agent": None} if by_staff else {}), by_staff=by_staff)
