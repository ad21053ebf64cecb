"""The only place that changes a stock: each change is a row of its ledger, written in the same transaction."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from capabilities.shop.models import MovementKind, OrderItem, Product, StockMovement
from database.base import uuid7
from security.edge.problems import Problem


class StockWouldBeNegative(Problem):
    """Less is there than should be taken away."""

    status, error, title = 409, "stock_would_be_negative", "There are not that many left"


def move_stock(
    session: Session,
    product_id: UUID,
    delta: int,
    kind: MovementKind,
    now: datetime,
    *,
    order_item_id: UUID | None = None,
    refund_id: UUID | None = None,
    actor_id: UUID | None = None,
) -> bool:
    """False when this very movement of an order's line was written before: then nothing changes.

    Raises StockWouldBeNegative.
    """
    written = session.execute(
        insert(StockMovement)
        .values(
            id=uuid7(),
            product_id=product_id,
            delta=delta,
            kind=kind,
            order_item_id=order_item_id,
            refund_id=refund_id,
            actor_id=actor_id,
            at=now,
        )
        .on_conflict_do_nothing()
        .returning(StockMovement.id)
    )
    if written.first() is None:
        return False
    moved = session.execute(
        update(Product)
        .where(Product.id == product_id, Product.stock_quantity + delta >= 0)
        .values(stock_quantity=Product.stock_quantity + delta)
        .returning(Product.id)
        .execution_options(synchronize_session=False)
    )
    if moved.first() is None:
        raise StockWouldBeNegative
    return True


def release_stock(session: Session, order_id: UUID, now: datetime) -> None:
    """What an order took is there for others again, once. What a refund has returned already is not returned twice."""
    returned = (
        select(func.coalesce(func.sum(StockMovement.delta), 0))
        .where(StockMovement.order_item_id == OrderItem.id, StockMovement.kind == MovementKind.RETURN)
        .scalar_subquery()
    )
    lines = session.execute(
        select(OrderItem.id, OrderItem.product_id, (OrderItem.quantity - returned).label("held"))
        .where(OrderItem.order_id == order_id)
        .order_by(OrderItem.product_id)  # as everywhere: two orders with the same products never wait for each other
    ).all()
    for line in lines:
        if line.held > 0:
            move_stock(session, line.product_id, line.held, MovementKind.RELEASE, now, order_item_id=line.id)
