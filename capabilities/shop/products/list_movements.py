"""How the stock of a product became what it is."""

from uuid import UUID

from sqlalchemy import select

from capabilities.shop.models import MovementKind, Product, StockMovement
from capabilities.shop.products.bodies import StockMovementAnswer
from database import reading
from database.pages import Page, newest_first, page_of
from security.edge.problems import NotFound


def list_movements(product_id: UUID, cursor: UUID | None, limit: int) -> Page[StockMovementAnswer]:
    """Raises NotFound."""
    query = select(StockMovement).where(StockMovement.product_id == product_id)
    with reading() as session:
        found = session.scalars(newest_first(query, StockMovement.id, cursor, limit)).all()
        if not found and session.scalars(select(Product.id).where(Product.id == product_id)).one_or_none() is None:
            raise NotFound
    return page_of([movement_answer(row) for row in found], limit)


def movement_answer(row: StockMovement) -> StockMovementAnswer:
    return StockMovementAnswer(
        id=row.id,
        delta=row.delta,
        kind=MovementKind(row.kind),
        order_item_id=row.order_item_id,
        refund_id=row.refund_id,
        actor_id=row.actor_id,
        at=row.at,
    )
