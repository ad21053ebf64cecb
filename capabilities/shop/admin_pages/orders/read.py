"""Orders as the staff see them: with whose they are, what is in them, how they are paid, and what happened."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Row, false, or_, select
from sqlalchemy.orm import Session

from auth.email_address import EmailAddressNotAcceptable, parse_email
from auth.models import User
from capabilities.shop.admin_pages.people import addresses_of
from capabilities.shop.models import Order, OrderEvent, OrderItem, OrderStatus, Refund
from capabilities.shop.orders.payment_status import OrderPayment, orders_with_payments, payment_of
from database import reading
from database.pages import Page, newest_first, page_of
from payments.models import Payment
from security.api.typed_text import trimmed, without_groups
from security.edge.problems import NotFound


@dataclass(frozen=True)
class ListedOrder:
    """`email` is None when the account has none, or not any more."""

    id: UUID
    order: Order
    payment: OrderPayment
    email: str | None
    lines: Sequence[OrderItem]


@dataclass(frozen=True)
class OrderDetail(ListedOrder):
    """`people`: the addresses of the staff who did something."""

    events: Sequence[OrderEvent]
    refunds: Sequence[Refund]
    people: Mapping[UUID, str]


def list_orders(status: OrderStatus | None, q: str | None, cursor: UUID | None, limit: int) -> Page[ListedOrder]:
    """The newest first. `q` is a number, an e-mail address, or an ID of the order, the account or the payment."""
    query = orders_with_payments()
    if status is not None:
        query = query.where(Order.status == status)
    if q is not None:
        query = query.where(named(trimmed(q)))
    with reading() as session:
        found = session.execute(newest_first(query, Order.id, cursor, limit)).all()
        return page_of(listed(session, found), limit)


def list_orders_to_ship(cursor: UUID | None, limit: int) -> Page[ListedOrder]:
    """Who ordered first is served first."""
    query = orders_with_payments().where(Order.status == OrderStatus.CONFIRMED)
    if cursor is not None:
        query = query.where(Order.id > cursor)
    with reading() as session:
        found = session.execute(query.order_by(Order.id).limit(limit + 1)).all()
        return page_of(listed(session, found), limit)


def read_order(order_id: UUID) -> OrderDetail:
    """Raises NotFound."""
    with reading() as session:
        found = session.execute(orders_with_payments().where(Order.id == order_id)).one_or_none()
        if found is None:
            raise NotFound
        (row,) = listed(session, [found])
        events = session.scalars(
            select(OrderEvent).where(OrderEvent.order_id == order_id).order_by(OrderEvent.id.desc())
        ).all()
        refunds = session.scalars(select(Refund).where(Refund.order_id == order_id).order_by(Refund.id.desc())).all()
        staff = {*(each.actor_id for each in events), *(each.actor_id for each in refunds)}
        people = addresses_of(session, staff)
        return OrderDetail(
            row.id, row.order, row.payment, row.email, row.lines, events=events, refunds=refunds, people=people
        )


def listed(session: Session, found: Sequence[Row[Order, Payment]]) -> list[ListedOrder]:
    lines = defaultdict(list)
    query = select(OrderItem).where(OrderItem.order_id.in_([order.id for order, _ in found])).order_by(OrderItem.id)
    for line in session.scalars(query):
        lines[line.order_id].append(line)
    emails = addresses_of(session, [order.user_id for order, _ in found])
    return [
        ListedOrder(order.id, order, payment_of(order, payment), emails.get(order.user_id or order.id), lines[order.id])
        for order, payment in found
    ]


def named(typed: str) -> ColumnElement[bool]:
    """The orders that somebody means. Never by a part of an address: nobody leafs through accounts with it."""
    try:
        sought = UUID(typed)
    except ValueError:
        pass
    else:
        return or_(Order.id == sought, Order.user_id == sought, Order.payment_id == sought)
    if typed.startswith("pi_"):
        return Order.payment_id.in_(select(Payment.id).where(Payment.external_id == typed))
    if "@" not in typed:
        letters = without_groups(typed).upper()
        return Order.number == f"{letters[:4]}-{letters[4:]}"
    try:
        key = parse_email(typed).key
    except EmailAddressNotAcceptable:
        return false()
    return Order.user_id.in_(select(User.id).where(User.email_key == key))
