"""Lists of orders: a buyer's own, and all of them for the staff."""

from uuid import UUID

from sqlalchemy import Select, or_, select

from auth.models import User
from capabilities.shop.models import Order
from capabilities.shop.orders.bodies import AllOrdersQuery, OrderAnswer, OrdersQuery
from capabilities.shop.orders.payment_status import orders_with_payments
from capabilities.shop.orders.show import shown_orders
from database import reading
from database.pages import Page, newest_first, page_of
from payments.models import Payment


def list_orders(user_id: UUID, wanted: OrdersQuery) -> Page[OrderAnswer]:
    query = orders_with_payments().where(Order.user_id == user_id)
    return _page(query, wanted)


def list_all_orders(wanted: AllOrdersQuery) -> Page[OrderAnswer]:
    query = orders_with_payments()
    if wanted.user_id is not None:
        query = query.where(Order.user_id == wanted.user_id)
    if wanted.q is not None:
        sought = wanted.q.strip()
        query = query.where(
            or_(
                Order.number.startswith(sought.upper(), autoescape=True),
                Order.tracking == sought,
                Order.ship_to["name"].astext.icontains(sought, autoescape=True),
                Order.user_id.in_(select(User.id).where(User.email_key == sought.lower())),
            )
        )
    return _page(query, wanted)


def _page(query: Select[Order, Payment], wanted: OrdersQuery) -> Page[OrderAnswer]:
    if wanted.status is not None:
        query = query.where(Order.status == wanted.status)
    with reading() as session:
        found = shown_orders(session, newest_first(query, Order.id, wanted.cursor, wanted.limit))
    return page_of(found, wanted.limit)
