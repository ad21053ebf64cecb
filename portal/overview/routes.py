"""`/portal`: what the account is and has."""

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, show
from auth.principal import Principal
from security.api.operation import Answer, operation


def overview_pages(routes: SitePages, guards: PageGuards) -> None:
    """`routes` are those of `/portal` itself."""

    @operation(routes, "GET", "", operation_id="overview", summary="Overview", guard=guards(), answers=SHOWS)
    def overview(caller: Principal) -> Answer:
        return show("portal_overview.html", title="Overview", tier=caller.tier)
