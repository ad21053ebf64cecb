"""`/admin`: how the service does at this moment."""

from auth.principal import Principal
from auth.staff.guards import StaffGuards
from auth.staff.pages import SHOWS, StaffPages, show
from security.api.operation import Answer, operation


def overview_page(routes: StaffPages, guards: StaffGuards) -> None:
    @operation(routes, "GET", "", operation_id="overview", summary="Overview", guard=guards(), answers=SHOWS)
    def overview(caller: Principal) -> Answer:
        return show("admin_overview.html", title="Overview")
