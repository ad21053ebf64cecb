"""What the shop holds about a user: orders with their lines and addresses, refunds, and what happened to them.

The rows outlive the account, for the books and for the stock. What tells of a person goes with it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CursorResult, Select, case, func, select, update
from sqlalchemy.orm import Session

from auth.personal_data import PersonalData, columns_of, rows_of
from capabilities.shop.models import Order, OrderEvent, OrderItem, OrderStatus, Refund, StockMovement
from capabilities.shop.move_order import Actor

ORDER: Final = columns_of(
    Order,
    "id number status payment_id total_minor refunded_minor currency shipping_minor ship_to note tracking reserved_until placed_at"
    " confirmed_at shipped_at delivered_at cancelled_at cancel_reason updated_at",
)
ITEM: Final = columns_of(OrderItem, "id order_id product_id name unit_price_minor quantity refunded_quantity")
REFUND: Final = columns_of(Refund, "id order_id amount_minor reason state stripe_refund_id items created_at done_at")
EVENT: Final = columns_of(OrderEvent, "id order_id from_status to_status actor at")
MOVEMENT: Final = columns_of(StockMovement, "id product_id delta kind order_item_id refund_id at")
OPEN_REASON: Final = case((OrderEvent.actor != Actor.STAFF, OrderEvent.reason)).label("reason")
"""What the staff wrote is for the staff, as in `GET /api/shop/orders/{id}/events`."""


def export_orders(session: Session, user_id: UUID) -> dict[str, Any]:
    """Amounts are in minor units of the order's currency."""
    orders = _orders_of(user_id)
    items = select(OrderItem.id).where(OrderItem.order_id.in_(orders))
    return {
        "orders": rows_of(session, select(*ORDER).where(Order.user_id == user_id).order_by(Order.id)),
        "order_items": rows_of(session, select(*ITEM).where(OrderItem.order_id.in_(orders)).order_by(OrderItem.id)),
        "order_events": rows_of(
            session, select(*EVENT, OPEN_REASON).where(OrderEvent.order_id.in_(orders)).order_by(OrderEvent.id)
        ),
        "refunds": rows_of(session, select(*REFUND).where(Refund.order_id.in_(orders)).order_by(Refund.id)),
        "stock_movements": rows_of(
            session, select(*MOVEMENT).where(StockMovement.order_item_id.in_(items)).order_by(StockMovement.id)
        ),
    }


def end_orders(session: Session, user_id: UUID, now: datetime) -> Sequence[str]:
    """The time of orders that are not paid is over. The job that cancels such orders asks Stripe first, which cannot be done here.

    What is paid already is still sent.
    """
    session.execute(
        update(Order)
        .where(Order.user_id == user_id, Order.status == OrderStatus.PENDING)
        .values(reserved_until=func.least(Order.reserved_until, now))
        .execution_options(synchronize_session=False)
    )
    return ()


def let_go_of_orders(session: Session, user_id: UUID) -> int:
    """Says how many orders that were."""
    orders = _orders_of(user_id)
    for table, forgotten in ((OrderEvent, None), (Refund, "")):
        session.execute(
            update(table)
            .where(table.order_id.in_(orders))
            .values(reason=forgotten)
            .execution_options(synchronize_session=False)
        )
    erased = session.execute(
        update(Order)
        .where(Order.user_id == user_id)
        .values(user_id=None, ship_to=None, note=None, cancel_reason=None)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(erased, CursorResult)
    return erased.rowcount


def _orders_of(user_id: UUID) -> Select[UUID]:
    return select(Order.id).where(Order.user_id == user_id)


SHOP_DATA = PersonalData("shop", export_orders, close=end_orders, erase=let_go_of_orders)
