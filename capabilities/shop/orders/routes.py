"""`/api/shop/orders`: buyers place orders, watch and cancel them, and staff move them on."""

from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID

from flask import Blueprint
from limits import RateLimitItemPerMinute

from auth.assembly import Auth
from auth.principal import Caller, Principal, Role
from capabilities.shop import ORDERS_SCOPE
from capabilities.shop.move_order import Actor
from capabilities.shop.once import KEY_PROBLEMS, MADE_HEADERS, Keep, once
from capabilities.shop.orders.bodies import (
    AllOrdersQuery,
    CancelOrderBody,
    MoveOrderBody,
    OrderAnswer,
    OrderEventsAnswer,
    OrdersAnswer,
    OrdersQuery,
    PlaceOrderBody,
)
from capabilities.shop.orders.cancel_order import Cancelling, cancel_order
from capabilities.shop.orders.list_events import list_events
from capabilities.shop.orders.list_orders import list_all_orders, list_orders
from capabilities.shop.orders.move_by_staff import move_by_staff
from capabilities.shop.orders.payment_status import PaymentDisputed
from capabilities.shop.orders.place_order import place_order
from capabilities.shop.orders.problems import (
    AlreadyShipped,
    CurrenciesDiffer,
    NotPaid,
    OutOfStock,
    PaymentPending,
    PriceChanged,
    ProductNotFound,
    TooManyOpenOrders,
    TransitionNotAllowed,
)
from capabilities.shop.orders.show import read_order
from capabilities.shop.rules import ShopRules
from payments.purchases.create import AmountTooLarge
from payments.stripe.problems import StripeRefused, StripeUnavailable
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation
from security.api.request_bodies import Json
from security.edge.problems import NotFound, TooManyRequests, ValidationFailed

PATH: Final = "/api/shop"
PLACED: Final = RateLimitItemPerMinute(10)
"""Of one user: each takes goods out of the stock for a while."""
LARGEST_BODY: Final = 64 * 1024
STRIPE_PROBLEMS: Final = (StripeUnavailable, StripeRefused)


def order_routes(auth: Auth, rules: ShopRules) -> Blueprint:
    routes = Blueprint("orders", __name__, url_prefix=PATH)
    add_buying(routes, auth, rules)
    add_reads(routes, auth)
    add_moves(routes, auth, rules)
    return routes


def add_buying(routes: Blueprint, auth: Auth, rules: ShopRules) -> None:
    @operation(
        routes,
        "POST",
        "/orders",
        operation_id="createOrder",
        summary="Place an order",
        guard=auth.signed_in_or_key(ORDERS_SCOPE),
        body=Json(PlaceOrderBody, LARGEST_BODY),
        answers={201: OrderAnswer},
        accepts_idempotency_key=True,
        answer_headers=MADE_HEADERS,
        problems=(
            ProductNotFound,
            OutOfStock,
            PriceChanged,
            CurrenciesDiffer,
            AmountTooLarge,
            TooManyOpenOrders,
            ValidationFailed,
            TooManyRequests,
            *KEY_PROBLEMS,
        ),
    )
    def create(caller: Caller, body: PlaceOrderBody, idempotency_key: str | None) -> Answer:
        """Takes all the goods from the stock, or none. They are yours until `reserved_until`; pay before that with
        `POST /api/payments/stripe/create-intent`. An order that costs nothing is confirmed at once. At most 10 in a minute.
        """

        def make(keep: Keep) -> OrderAnswer:
            auth.address_limits.count_subject(PLACED, "create_order", str(caller.user_id))
            return place_order(rules, caller.user_id, body, keep)

        return once(caller.user_id, "createOrder", idempotency_key, body, make, below=f"{PATH}/orders")

    @operation(
        routes,
        "POST",
        "/orders/<uuid:order_id>/cancel",
        operation_id="cancelOrder",
        summary="Cancel an order",
        guard=auth.signed_in,
        body=CancelOrderBody,
        answers={200: OrderAnswer},
        problems=(NotFound, AlreadyShipped, PaymentPending, *STRIPE_PROBLEMS),
    )
    def cancel(caller: Principal, order_id: UUID, body: CancelOrderBody) -> Answer:
        """You can cancel until it is shipped. What you paid goes back to your card. If the payment was made at the same moment, the
        order is `confirmed` in the answer; cancel it again to get the money back.
        """
        read_order(order_id, of=caller.user_id)
        cancel_order(rules, order_id, Cancelling(Actor.BUYER, reason=body.reason))
        return Answer(200, read_order(order_id, of=caller.user_id))


def add_reads(routes: Blueprint, auth: Auth) -> None:
    buyers = auth.signed_in_or_key(ORDERS_SCOPE)
    support = replace(auth.signed_in, role=Role.SUPPORT)
    read = partial(operation, routes, "GET")

    @read(
        "/orders",
        operation_id="listOrders",
        summary="List your orders",
        guard=buyers,
        query=OrdersQuery,
        answers={200: OrdersAnswer},
    )
    def orders(caller: Caller, query: OrdersQuery) -> Answer:
        """Returns the newest first."""
        page = list_orders(caller.user_id, query)
        return Answer(200, OrdersAnswer(orders=list(page.items), next_cursor=page.next_cursor))

    @read(
        "/orders/<uuid:order_id>",
        operation_id="getOrder",
        summary="Get one of your orders",
        guard=buyers,
        answers={200: OrderAnswer},
        problems=(NotFound,),
    )
    def order(caller: Caller, order_id: UUID) -> Answer:
        """`payment_status` follows its payment and the refunds."""
        return Answer(200, read_order(order_id, of=caller.user_id))

    @read(
        "/orders/<uuid:order_id>/events",
        operation_id="listOrderEvents",
        summary="List what happened to an order",
        guard=buyers,
        query=ListQuery,
        answers={200: OrderEventsAnswer},
        problems=(NotFound,),
    )
    def events(caller: Caller, order_id: UUID, query: ListQuery) -> Answer:
        """Returns the newest first. Support and admins see those of every order, and what staff wrote."""
        for_staff = isinstance(caller, Principal) and caller.role.includes(Role.SUPPORT)
        page = list_events(order_id, query.cursor, query.limit, of=None if for_staff else caller.user_id)
        return Answer(200, OrderEventsAnswer(events=list(page.items), next_cursor=page.next_cursor))

    @read(
        "/admin/orders",
        operation_id="listAllOrders",
        summary="List the orders of all buyers",
        guard=support,
        query=AllOrdersQuery,
        answers={200: OrdersAnswer},
    )
    def all_orders(caller: Principal, query: AllOrdersQuery) -> Answer:
        """Returns the newest first. Only support and admins can do this."""
        page = list_all_orders(query)
        return Answer(200, OrdersAnswer(orders=list(page.items), next_cursor=page.next_cursor))


def add_moves(routes: Blueprint, auth: Auth, rules: ShopRules) -> None:
    @operation(
        routes,
        "PUT",
        "/orders/<uuid:order_id>/status",
        operation_id="changeOrderStatus",
        summary="Change the status of an order",
        guard=replace(auth.signed_in, role=Role.ADMIN),
        body=MoveOrderBody,
        answers={200: OrderAnswer},
        problems=(NotFound, TransitionNotAllowed, NotPaid, PaymentDisputed, PaymentPending, *STRIPE_PROBLEMS),
    )
    def move(caller: Principal, order_id: UUID, body: MoveOrderBody) -> Answer:
        """Ship it, say that it was delivered, or cancel it, which gives all money back. Only its payment confirms an order. Only
        admins can do this.
        """
        move_by_staff(rules, order_id, body, by=caller.user_id)
        return Answer(200, read_order(order_id))
