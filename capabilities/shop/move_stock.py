"""The only place that changes a stock: each change is a row of its ledger, written in the same transaction."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from capabilities.shop.models import MovementKind, OrderItem, Product, StockMovement
from database.base import uuid7
from security.edge.problems import Problem

RELEASE: Final = text("""
    WITH lines AS (
        SELECT line.movement_id, line.held, item.id, item.product_id
        FROM unnest(CAST(:movement_ids AS uuid[]), CAST(:item_ids AS uuid[]), CAST(:held AS bigint[]))
            AS line (movement_id, item_id, held)
        JOIN shop_order_items AS item ON item.id = line.item_id
    ), locked AS MATERIALIZED (
        SELECT product.id FROM shop_products AS product WHERE product.id IN (SELECT product_id FROM lines)
        ORDER BY product.id FOR NO KEY UPDATE OF product
    ), written AS (
        INSERT INTO stock_movements (id, product_id, delta, kind, order_item_id, at)
        SELECT movement_id, product_id, held, 'release', lines.id, :now FROM lines JOIN locked ON locked.id = lines.product_id
        ON CONFLICT DO NOTHING
        RETURNING product_id, delta
    )
    UPDATE shop_products AS product SET stock_quantity = product.stock_quantity + written.delta
    FROM written WHERE product.id = written.product_id
""")
"""Locks in the order of the products' ids, as everywhere: two orders with the same products never wait for each other."""


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


class Line(NamedTuple):
    id: UUID
    product_id: UUID
    held: int


def held_by_line(session: Session, order_id: UUID) -> list[Line]:
    """What each line of an order took and did not put back, by release or by refunds. The order is locked."""
    held = (
        select(-func.coalesce(func.sum(StockMovement.delta), 0))
        .where(StockMovement.order_item_id == OrderItem.id)
        .scalar_subquery()
    )
    lines = session.execute(
        select(OrderItem.id, OrderItem.product_id, held)
        .where(OrderItem.order_id == order_id)
        .order_by(OrderItem.product_id)  # as everywhere: two orders with the same products never wait for each other
    )
    return [Line(*line) for line in lines]


def release_stock(session: Session, order_id: UUID, now: datetime) -> None:
    """What an order took is there for others again, once. What a refund has returned already is not returned twice."""
    lines = [line for line in held_by_line(session, order_id) if line.held > 0]
    if lines:
        session.execute(
            RELEASE,
            {
                "movement_ids": [uuid7() for _ in lines],
                "item_ids": [line.id for line in lines],
                "held": [line.held for line in lines],
                "now": now,
            },
        )
