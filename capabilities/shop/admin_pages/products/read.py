"""The movements of a stock as the staff see them: with the order and the member of the staff behind each."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from capabilities.shop.admin_pages.people import addresses_of
from capabilities.shop.models import Order, OrderItem
from capabilities.shop.products.bodies import StockMovementAnswer
from capabilities.shop.products.list_movements import list_movements
from database import reading
from database.pages import Page


@dataclass(frozen=True)
class Movements:
    """`orders`: the order of each line. `people`: the addresses of the staff."""

    page: Page[StockMovementAnswer]
    orders: Mapping[UUID, Order]
    people: Mapping[UUID, str]


def read_movements(product_id: UUID, cursor: UUID | None, limit: int) -> Movements:
    """Raises NotFound."""
    page = list_movements(product_id, cursor, limit)
    lines = [each.order_item_id for each in page.items if each.order_item_id is not None]
    query = select(OrderItem.id, Order).join(Order, Order.id == OrderItem.order_id).where(OrderItem.id.in_(lines))
    with reading() as session:
        orders = {row.id: row.Order for row in session.execute(query)}
        return Movements(page, orders, addresses_of(session, [each.actor_id for each in page.items]))
