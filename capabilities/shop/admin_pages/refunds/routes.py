"""`/admin/refunds`: money that went back, or is about to."""

from typing import Final

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal
from capabilities.shop.admin_pages.refunds.bodies import RefundsPageQuery
from capabilities.shop.admin_pages.refunds.read import list_refunds
from capabilities.shop.models import RefundState
from security.api.operation import Answer, operation
from security.logs.log import security_event

NAME: Final = "refunds"


def refund_pages(guards: PageGuards) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__)

    @operation(
        pages,
        "GET",
        "",
        operation_id="showRefunds",
        summary="List refunds",
        guard=guards(),
        query=RefundsPageQuery,
        answers=SHOWS,
    )
    def refunds(caller: Principal, query: RefundsPageQuery) -> Answer:
        security_event("refunds_read", notable=False, actor_id=caller.user_id)
        listed = list_refunds(query.state, query.cursor, query.limit)
        return show("shop_refunds.html", title="Refunds", listed=listed, states=list(RefundState))

    return pages
