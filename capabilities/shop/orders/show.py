"""Orders as clients see them, with their payments."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from capabilities.shop.models import Order, OrderItem, OrderStatus
from capabilities.shop.money import written
from capabilities.shop.orders.bodies import AddressAnswer, OrderAnswer, OrderItemAnswer
from capabilities.shop.orders.payment_status import orders_with_payments, payment_of
from database import reading
from payments.models import Payment
from security.edge.problems import NotFound


def read_order(order_id: UUID, *, of: UUID | None = None) -> OrderAnswer:
    """`of`: whose it must be. Raises NotFound."""
    query = orders_with_payments().where(Order.id == order_id)
    with reading() as session:
        found = shown_orders(session, query if of is None else query.where(Order.user_id == of))
    if not found:
        raise NotFound
    return found[0]


def shown_orders(session: Session, query: Select[Order, Payment]) -> list[OrderAnswer]:
    """`query` is one of `orders_with_payments`."""
    rows = session.execute(query).all()
    lines: defaultdict[UUID, list[OrderItem]] = defaultdict(list)
    for item in session.scalars(items_of(order.id for order, _ in rows)) if rows else ():
        lines[item.order_id].append(item)
    return [order_answer(order, payment, lines[order.id]) for order, payment in rows]


def items_of(order_ids: Iterable[UUID]) -> Select[OrderItem]:
    """In the order in which they were named."""
    return select(OrderItem).where(OrderItem.order_id.in_(list(order_ids))).order_by(OrderItem.id)


def order_answer(order: Order, payment: Payment | None, items: Sequence[OrderItem]) -> OrderAnswer:
    paid, currency = payment_of(order, payment), order.currency
    return OrderAnswer(
        id=order.id,
        number=order.number,
        status=OrderStatus(order.status),
        payment_status=paid.status,
        user_id=order.user_id,
        total_amount=written(order.total_minor, currency),
        total_minor=order.total_minor,
        shipping_amount=written(order.shipping_minor, currency),
        shipping_minor=order.shipping_minor,
        refunded_amount=written(paid.refunded_minor, currency),
        refunded_minor=paid.refunded_minor,
        currency=currency,
        items=[
            OrderItemAnswer(
                id=item.id,
                product_id=item.product_id,
                name=item.name,
                unit_price=written(item.unit_price_minor, currency),
                unit_price_minor=item.unit_price_minor,
                quantity=item.quantity,
                refunded_quantity=item.refunded_quantity,
            )
            for item in items
        ],
        ship_to=None if order.ship_to is None else AddressAnswer.model_validate(order.ship_to),
        note=order.note,
        tracking=order.tracking,
        reserved_until=order.reserved_until,
        stripe_payment_intent_id=paid.stripe_payment_intent_id,
        payment_id=paid.payment_id,
        cancel_reason=order.cancel_reason,
        created_at=order.placed_at,
        confirmed_at=order.confirmed_at,
        shipped_at=order.shipped_at,
        delivered_at=order.delivered_at,
        cancelled_at=order.cancelled_at,
        updated_at=order.updated_at,
    )
