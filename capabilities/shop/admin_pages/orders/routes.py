"""`/admin/shipping` and `/admin/orders`: what is to be sent, and every order with all that happened to it."""

from typing import Final
from uuid import UUID

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from capabilities.shop.admin_pages.orders.bodies import LONGEST_TRACKING, CancelForm, OrdersQuery, ShipForm, ToShipQuery
from capabilities.shop.admin_pages.orders.read import list_orders, list_orders_to_ship, read_order
from capabilities.shop.models import OrderStatus
from capabilities.shop.rules import ShopRules
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound
from security.logs.log import security_event

NAME: Final = "orders"
PATH: Final = f"{ADMIN.root}/{NAME}"
SHIPPING: Final = "shipping"
SHIPPING_PATH: Final = f"{ADMIN.root}/{SHIPPING}"
SHIPPED: Final = "The order is marked as shipped."


def shipping_pages(guards: PageGuards) -> SitePages:
    pages = SitePages(ADMIN, SHIPPING, __name__, done={"shipped": SHIPPED})

    @operation(
        pages,
        "GET",
        "",
        operation_id="showOrdersToShip",
        summary="List orders to ship",
        guard=guards(),
        query=ToShipQuery,
        answers=SHOWS,
    )
    def to_ship(caller: Principal, query: ToShipQuery) -> Answer:
        security_event("orders_read", actor_id=caller.user_id, notable=False)
        return show(
            "shop_to_ship.html",
            title="Orders to ship",
            listed=list_orders_to_ship(query.cursor, query.limit),
            longest_tracking=LONGEST_TRACKING,
            may_act=caller.role is Role.ADMIN,
        )

    return pages


def order_pages(rules: ShopRules, guards: PageGuards) -> SitePages:
    pages = SitePages(
        ADMIN,
        NAME,
        __name__,
        done={
            "shipped": SHIPPED,
            "delivered": "The order is marked as delivered.",
            "cancelled": "The order is cancelled.",
            "refunded": "The refund is given.",
        },
    )

    @operation(
        pages,
        "GET",
        "",
        operation_id="showOrders",
        summary="List orders",
        guard=guards(),
        query=OrdersQuery,
        answers=SHOWS,
    )
    def orders(caller: Principal, query: OrdersQuery) -> Answer:
        security_event("orders_read", actor_id=caller.user_id, notable=False)
        return show(
            "shop_orders.html",
            title="Orders",
            listed=list_orders(query.status, query.q, query.cursor, query.limit),
            statuses=list(OrderStatus),
        )

    @operation(
        pages,
        "GET",
        "/<uuid:order_id>",
        operation_id="showOrder",
        summary="See an order",
        guard=guards(),
        answers=SHOWS,
        problems=(NotFound,),
    )
    def one(caller: Principal, order_id: UUID) -> Answer:
        found = read_order(order_id)
        security_event("orders_read", actor_id=caller.user_id, subject_id=found.order.user_id, notable=False)
        return show(
            "shop_order.html",
            title=f"Order {found.order.number}",
            found=found,
            may_act=caller.role is Role.ADMIN,
        )

    return pages
