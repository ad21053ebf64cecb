"""Orders as the staff see them: with whose they are, what happened, and what was given back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from capabilities.shop.admin_pages.people import addresses_of
from capabilities.shop.models import Order, OrderEvent, OrderStatus, Refund
from capabilities.shop.orders.bodies import AllOrdersQuery, OrderAnswer
from capabilities.shop.orders.list_orders import list_all_orders
from capabilities.shop.orders.payment_status import orders_with_payments
from capabilities.shop.orders.show import read_order as read_answer
from capabilities.shop.orders.show import shown_orders
from database import reading
from database.pages import Page, page_of


@dataclass(frozen=True)
class OrderDetail:
    """Events and refunds are the newest first. `people`: the addresses of the buyer and of the staff who did something."""

    order: OrderAnswer
    events: Sequence[OrderEvent]
    refunds: Sequence[Refund]
    people: Mapping[UUID, str]


@dataclass(frozen=True)
class ListedOrders:
    """`people`: the addresses of the buyers who are still there."""

    page: Page[OrderAnswer]
    people: Mapping[UUID, str]


def find_orders(wanted: AllOrdersQuery) -> ListedOrders:
    """The newest first."""
    return with_people(list_all_orders(wanted))


def list_orders_to_ship(cursor: UUID | None, limit: int) -> ListedOrders:
    """Who ordered first is served first."""
    query = orders_with_payments().where(Order.status == OrderStatus.CONFIRMED)
    if cursor is not None:
        query = query.where(Order.id > cursor)
    with reading() as session:
        found = shown_orders(session, query.order_by(Order.id).limit(limit + 1))
    return with_people(page_of(found, limit))


def with_people(page: Page[OrderAnswer]) -> ListedOrders:
    with reading() as session:
        return ListedOrders(page, addresses_of(session, [order.user_id for order in page.items]))


def read_order(order_id: UUID) -> OrderDetail:
    """Raises NotFound."""
    order = read_answer(order_id)
    happened = select(OrderEvent).where(OrderEvent.order_id == order_id).order_by(OrderEvent.id.desc())
    given = select(Refund).where(Refund.order_id == order_id).order_by(Refund.id.desc())
    with reading() as session:
        events, refunds = session.scalars(happened).all(), session.scalars(given).all()
        staff = {*(each.actor_id for each in events), *(each.actor_id for each in refunds)}
        return OrderDetail(order, events, refunds, addresses_of(session, {order.user_id, *staff}))
