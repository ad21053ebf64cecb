"""`/admin`: how the service does at this moment."""

from admin.overview.figures import Overview
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import GIVES_DATA, SHOWS, SitePages, show
from auth.principal import Principal
from security.api.operation import Answer, operation


def overview_pages(routes: SitePages, overview: Overview, guards: PageGuards) -> None:
    """`routes` are those of `/admin` itself."""

    @operation(routes, "GET", "", operation_id="overview", summary="Overview", guard=guards(), answers=SHOWS)
    def overview_page(caller: Principal) -> Answer:
        figures = overview.read()
        return show(
            "admin_overview.html",
            title="Overview",
            figures=figures,
            failures=[(each.code, each.count) for each in figures.failures],
            refusals=[(each.code, each.count) for each in figures.refusals],
            pressure=[(each.feature, each.users, each.near, each.reached) for each in figures.pressure],
        )

    @operation(
        routes,
        "GET",
        "/overview/figures",
        operation_id="overview_figures",
        summary="Read the figures of the overview",
        guard=guards(polled=True),
        answers=GIVES_DATA,
    )
    def figures(caller: Principal) -> Answer:
        return Answer(200, overview.read())
