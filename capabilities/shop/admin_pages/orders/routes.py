"""`/admin/shipping` and `/admin/orders`: what is to be sent, and every order with all that happened to it."""

from typing import Final
from uuid import UUID, uuid4

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SENDS_ON, SHOWS, SitePages, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from capabilities.shop.admin_pages.orders.bodies import CancelForm, OrdersPageQuery, ShipForm, ToShipQuery
from capabilities.shop.admin_pages.orders.read import find_orders, list_orders_to_ship, read_order
from capabilities.shop.admin_pages.refunds.bodies import RefundForm
from capabilities.shop.models import OrderStatus
from capabilities.shop.once import KEY_PROBLEMS
from capabilities.shop.orders.bodies import MoveOrderBody
from capabilities.shop.orders.move_by_staff import PAID, move_by_staff
from capabilities.shop.orders.payment_status import PaymentDisputed
from capabilities.shop.orders.problems import NotPaid, PaymentPending, TransitionNotAllowed
from capabilities.shop.refunds.give_refund import give_refund
from capabilities.shop.refunds.request_refund import NothingToRefund, RefundTooLarge
from capabilities.shop.rules import ShopRules
from payments.stripe.problems import STRIPE_PROBLEMS
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound
from security.logs.log import security_event

NAME: Final = "orders"
PATH: Final = f"{ADMIN.root}/{NAME}"
SHIPPING: Final = "shipping"
SHIPPING_PATH: Final = f"{ADMIN.root}/{SHIPPING}"
SHIPPED: Final = "The order is marked as shipped."
WHY_NOT: Final = (NotFound, TransitionNotAllowed, NotPaid, PaymentDisputed)


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
            "refunded": "The refund is made.",
        },
    )

    @operation(
        pages,
        "GET",
        "",
        operation_id="showOrders",
        summary="List orders",
        guard=guards(),
        query=OrdersPageQuery,
        answers=SHOWS,
    )
    def orders(caller: Principal, query: OrdersPageQuery) -> Answer:
        security_event("orders_read", actor_id=caller.user_id, notable=False)
        return show(
            "shop_orders.html",
            title="Orders",
            listed=find_orders(query),
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
            paid=PAID,
            may_act=caller.role is Role.ADMIN,
        )

    def ship_form(caller: Principal, order_id: UUID) -> Answer:
        return show("shop_ship.html", title="Ship", found=read_order(order_id))

    def ship(caller: Principal, order_id: UUID, body: ShipForm) -> Answer:
        move_by_staff(
            rules, order_id, MoveOrderBody(status=OrderStatus.SHIPPED, tracking=body.tracking), by=caller.user_id
        )
        return see_other(SHIPPING_PATH if body.back_to == SHIPPING else f"{PATH}/{order_id}", "shipped")

    act_with_form(
        pages,
        "/<uuid:order_id>/ship",
        operation_ids=("showShipForm", "shipOrder"),
        summary="Mark an order as shipped",
        guard=guards(Role.ADMIN),
        form=ship_form,
        act=ship,
        body=Form(ShipForm),
        problems=WHY_NOT,
    )

    @operation(
        pages,
        "POST",
        "/<uuid:order_id>/deliver",
        operation_id="deliverOrder",
        summary="Mark an order as delivered",
        guard=guards(Role.ADMIN),
        answers=SENDS_ON,
        problems=WHY_NOT,
    )
    def deliver(caller: Principal, order_id: UUID) -> Answer:
        move_by_staff(rules, order_id, MoveOrderBody(status=OrderStatus.DELIVERED), by=caller.user_id)
        return see_other(f"{PATH}/{order_id}", "delivered")

    def cancel_form(caller: Principal, order_id: UUID) -> Answer:
        return show("shop_cancel.html", title="Cancel order", found=read_order(order_id))

    def cancel(caller: Principal, order_id: UUID, body: CancelForm) -> Answer:
        wanted = MoveOrderBody(status=OrderStatus.CANCELLED, reason=body.reason)
        move_by_staff(rules, order_id, wanted, by=caller.user_id)
        return see_other(f"{PATH}/{order_id}", "cancelled")

    act_with_form(
        pages,
        "/<uuid:order_id>/cancel",
        operation_ids=("showCancelForm", "cancelOrderAsStaff"),
        summary="Cancel an order",
        guard=guards(Role.ADMIN, fresh=True),
        form=cancel_form,
        act=cancel,
        body=Form(CancelForm),
        problems=(*WHY_NOT, PaymentPending, *STRIPE_PROBLEMS),
    )

    def refund_form(caller: Principal, order_id: UUID) -> Answer:
        return show("shop_refund.html", title="Refund", found=read_order(order_id), attempt=uuid4())

    def refund(caller: Principal, order_id: UUID, body: RefundForm) -> Answer:
        give_refund(rules, order_id, body.wanted(), key=str(body.attempt), by=caller.user_id)
        return see_other(f"{PATH}/{order_id}", "refunded")

    act_with_form(
        pages,
        "/<uuid:order_id>/refund",
        operation_ids=("showRefundForm", "refundOrderAsStaff"),
        summary="Refund an order",
        guard=guards(Role.ADMIN, fresh=True),
        form=refund_form,
        act=refund,
        body=Form(RefundForm),
        problems=(NotFound, NothingToRefund, RefundTooLarge, PaymentDisputed, *STRIPE_PROBLEMS, *KEY_PROBLEMS),
    )
    return pages
