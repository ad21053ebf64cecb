"""`/portal/requests`: the visitor's metered requests."""

from flask import Blueprint

from auth.assembly import Auth
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, PageQuery, SitePages, address_of, show
from auth.page_sessions.site import PORTAL
from auth.principal import Principal
from metering.capability import Capabilities
from metering.usage.bodies import CallRow, CallsFilter
from metering.usage.read import all_calls, list_calls
from metering.usage.show import call_row
from security.api.cursor import Cursor
from security.api.models import FilledIn
from security.api.operation import Answer, operation
from security.api.streams import Csv
from security.edge.problems import NotFound

SHOWN = 50


class Wanted(FilledIn, CallsFilter):
    pass


class RequestsQuery(PageQuery, CallsFilter):
    cursor: Cursor | None = None


def request_pages(auth: Auth, capabilities: Capabilities, guards: PageGuards) -> Blueprint:
    pages = SitePages(PORTAL, "requests", __name__)
    features = sorted({feature for each in capabilities for of_tier in each.limits.values() for feature in of_tier})

    @operation(
        pages,
        "GET",
        "",
        operation_id="requests",
        summary="Requests",
        guard=guards(),
        query=RequestsQuery,
        answers=SHOWS,
        problems=(NotFound,),
    )
    def requests(caller: Principal, query: RequestsQuery) -> Answer:
        calls, next_cursor = list_calls(caller.user_id, query, query.cursor, SHOWN)
        return show(
            "portal_requests.html",
            title="Requests",
            calls=[call_row(each) for each in calls],
            next_cursor=next_cursor,
            download=address_of(f"{PORTAL.root}/requests/all.csv", query.kept(but="cursor")),
            features=[("", "Any"), *((each, each) for each in features)],
        )

    @operation(
        pages,
        "GET",
        "/all.csv",
        operation_id="requests_csv",
        summary="Download requests",
        guard=guards(),
        query=Wanted,
        answers={200: Csv(CallRow, of_page=True)},
        problems=(NotFound,),
    )
    def requests_csv(caller: Principal, query: Wanted) -> Answer:
        rows = map(call_row, all_calls(caller.user_id, query))
        return Answer(200, rows, {"Content-Disposition": 'attachment; filename="requests.csv"'})

    return pages
