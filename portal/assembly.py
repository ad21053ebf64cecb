"""The portal, put together: the pages where customers see and limit what they use."""

from collections.abc import Mapping
from functools import partial
from itertools import chain

from auth.assembly import Auth
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SitePages, Subject
from auth.page_sessions.site import PORTAL
from metering.capability import Capability
from metering.parts import Built
from payments.assembly import Payments
from portal.budget.routes import budget_pages
from portal.keys.routes import key_pages
from portal.overview.routes import Plans, overview_pages
from portal.requests.routes import request_pages
from portal.statements.routes import statement_pages
from site_frame.assembly import SiteContent
from site_frame.frame import RootPages


def portal_of(auth: Auth, plans: Plans, built: Mapping[Capability, Built], payments: Payments) -> SiteContent:
    """`/portal`"""

    def root(guards: PageGuards) -> SitePages:
        routes = RootPages(PORTAL, __name__)
        overview_pages(routes, guards, plans, auth)
        return routes

    subjects = (
        *chain.from_iterable(each.portal_pages for each in built.values()),
        Subject("requests", "Requests", partial(request_pages, auth, tuple(built))),
        Subject("budget", "Budget", partial(budget_pages, auth)),
        Subject("statements", "Statements", partial(statement_pages, payments.periods, payments.stripe)),
        Subject("keys", "API keys", partial(key_pages, auth)),
    )
    return SiteContent(PORTAL, "Overview", root, subjects)
