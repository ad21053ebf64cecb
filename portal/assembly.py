"""The portal, put together: the pages where customers see and limit what they use."""

from collections.abc import Sequence
from functools import partial

from auth.assembly import Auth
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SitePages, Subject
from auth.page_sessions.site import PORTAL
from portal.keys.routes import key_pages
from portal.overview.routes import overview_pages
from site_frame.assembly import SiteContent
from site_frame.frame import RootPages


def portal_of(auth: Auth, own: Sequence[Subject]) -> SiteContent:
    """`/portal`. `own`: the pages of capabilities that are on."""

    def root(guards: PageGuards) -> SitePages:
        routes = RootPages(PORTAL, __name__)
        overview_pages(routes, guards)
        return routes

    return SiteContent(PORTAL, "Overview", root, (*own, Subject("keys", "API keys", partial(key_pages, auth))))
