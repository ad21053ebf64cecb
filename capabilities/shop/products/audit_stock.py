"""Prove that the stock of every product is the sum of its movements."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from capabilities.shop.models import Product, StockMovement
from database import reading

PORTION: Final = 500
"""Products of one statement, which stays far below the statement timeout."""


@dataclass(frozen=True)
class Drift:
    """A product whose stock is not what its movements add up to. Only a change past move_stock.py can do that."""

    product_id: UUID
    sku: str | None
    name: str
    stock: int
    movements: int


@dataclass
class StockAudit:
    """Goes from product to product. Orders may be placed meanwhile: each is read with its movements at one moment."""

    products: int = 0

    def drifts(self) -> Iterator[Drift]:
        last = UUID(int=0)
        while rows := _portion(last):
            self.products += len(rows)
            last = rows[-1].product_id
            yield from (row for row in rows if row.stock != row.movements)


def _portion(after: UUID) -> list[Drift]:
    moved = (
        select(func.coalesce(func.sum(StockMovement.delta), 0))
        .where(StockMovement.product_id == Product.id)
        .scalar_subquery()
    )
    query = (
        select(Product.id, Product.sku, Product.name, Product.stock_quantity, moved)
        .where(Product.id > after)
        .order_by(Product.id)
        .limit(PORTION)
    )
    with reading() as session:
        return [Drift(*row) for row in session.execute(query)]
