"""`/admin/requests`: metered calls, what became of them and how long they took."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from admin.list_filter import whose
from admin.request_log.bodies import CallsQuery
from admin.request_log.read import CallFilter, list_calls, read_call
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SENDS_ON, SHOWS, SitePages, Subject, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal
from database.base import Clock
from metering.settle import Outcome
from security.api.operation import Answer, operation
from security.edge.problems import NotFound
from security.logs.log import security_event

NAME: Final = "requests"
PATH: Final = f"{ADMIN.root}/{NAME}"


def request_log_pages(features: Sequence[str], clock: Clock) -> Subject:
    """`features`: those that can be chosen."""
    return Subject(NAME, "Request log", lambda guards: request_log_routes(guards, features, clock))


def request_log_routes(guards: PageGuards, features: Sequence[str], clock: Clock) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__)

    @operation(
        pages,
        "GET",
        "",
        operation_id="listCalls",
        summary="List metered calls",
        guard=guards(),
        query=CallsQuery,
        answers={**SHOWS, **SENDS_ON},
    )
    def calls(caller: Principal, query: CallsQuery) -> Answer:
        named = id_of(query.request_id)
        if named is not None and read_call(named) is not None:
            return see_other(f"{PATH}/{named}")
        account = whose(caller, query.account)
        hint = account.hint if query.request_id is None else "No call has this request ID."
        wanted = CallFilter(
            user_id=account.user_id,
            feature=query.feature,
            outcome=query.outcome,
            error_code=query.error_code,
            since=query.since,
            until=query.until,
        ).bounded(clock())
        listed = None
        if hint is None:
            security_event("request_log_read", actor_id=caller.user_id, subject_id=account.user_id)
            listed = list_calls(wanted, query.cursor, query.limit)
        return show(
            "requests_list.html",
            title="Request log",
            query=query,
            hint=hint,
            wanted=wanted,
            listed=listed,
            features=features,
            outcomes=list(Outcome),
        )

    @operation(
        pages,
        "GET",
        "/<uuid:request_id>",
        operation_id="getCall",
        summary="See a metered call",
        guard=guards(),
        answers=SHOWS,
        problems=(NotFound,),
    )
    def call(caller: Principal, request_id: UUID) -> Answer:
        found = read_call(request_id)
        if found is None:
            raise NotFound("No call has this request ID")
        security_event("request_log_read", actor_id=caller.user_id, subject_id=found.call.user_id)
        return show("requests_call.html", title="Call", found=found)

    return pages


def id_of(text: str | None) -> UUID | None:
    """As somebody typed it."""
    try:
        return None if text is None else UUID(text.strip())
    except ValueError:
        return None
