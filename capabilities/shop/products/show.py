"""A product as clients see it."""

from uuid import UUID

from sqlalchemy import select

from capabilities.shop.models import Product
from capabilities.shop.money import written
from capabilities.shop.products.bodies import ProductAnswer
from database import reading
from security.edge.problems import NotFound


def product_answer(row: Product) -> ProductAnswer:
    return ProductAnswer(
        id=row.id,
        sku=row.sku,
        name=row.name,
        description=row.description,
        price=written(row.price_minor, row.currency),
        price_minor=row.price_minor,
        currency=row.currency,
        category=row.category,
        image_url=row.image_url,
        ships=row.ships,
        stock_quantity=row.stock_quantity,
        is_active=row.is_active,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def read_product(product_id: UUID, *, also_inactive: bool) -> ProductAnswer:
    """Raises NotFound."""
    query = select(Product).where(Product.id == product_id)
    if not also_inactive:
        query = query.where(Product.is_active)
    with reading() as session:
        row = session.scalars(query).one_or_none()
        if row is None:
            raise NotFound
        return product_answer(row)
