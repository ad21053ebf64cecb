"""The dashboard, put together: its own pages and those that it is handed."""

from collections.abc import Sequence

from admin.overview.figures import Overview
from admin.overview.minutes import LastHour
from admin.overview.routes import overview_pages
from auth.assembly import Auth
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SitePages, Subject
from auth.page_sessions.site import ADMIN
from security.health.check import HealthCheck
from site_frame.assembly import SiteContent
from site_frame.frame import RootPages


def dashboard(auth: Auth, health: HealthCheck, subjects: Sequence[Subject]) -> SiteContent:
    """`/admin`"""

    def root(guards: PageGuards) -> SitePages:
        routes = RootPages(ADMIN, __name__)
        overview_pages(routes, Overview(LastHour(auth.clock), health), guards)
        return routes

    return SiteContent(ADMIN, "Overview", root, subjects)
