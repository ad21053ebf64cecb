"""Change a product. Its stock is counted anew, or some are added or taken away."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.audit.record import record
from capabilities.shop.models import MovementKind, Product
from capabilities.shop.move_stock import move_stock
from capabilities.shop.products.bodies import ProductAnswer, ProductBody
from capabilities.shop.products.price import price_of
from capabilities.shop.products.problems import refusing_a_taken_sku
from capabilities.shop.products.show import product_answer
from capabilities.shop.rules import ShopRules
from security.edge.problems import NotFound


def replace_product(
    rules: ShopRules, session: Session, product_id: UUID, body: ProductBody, *, by: UUID | None
) -> ProductAnswer:
    """`by` is the member of the staff, None for the command line. Raises NotFound, ValidationFailed, SkuTaken,
    StockWouldBeNegative.
    """
    now, product = rules.clock(), hold_product(session, product_id)
    currency = body.currency or product.currency
    values = body.model_dump(exclude={"price", "stock_quantity", "stock_was"})
    values |= {"price_minor": price_of(body, currency), "currency": currency}
    changed = [name for name, value in values.items() if getattr(product, name) != value]
    if changed:
        before: dict[str, Any] = {
            name: getattr(product, name) for name in ("price_minor", "currency") if name in changed
        }
        for name in changed:
            setattr(product, name, values[name])
        product.updated_at = now
        with refusing_a_taken_sku():
            session.flush()
        record(
            session,
            "product_changed",
            now,
            user_id=None,
            actor_id=by,
            product_id=str(product_id),
            changed=changed,
            before=before,
        )
    if body.stock_quantity is not None:
        set_stock(session, product, body.stock_quantity, body.stock_was, now, by=by)
    return product_answer(session, product_id)


def hold_product(session: Session, product_id: UUID) -> Product:
    """Nobody else changes it or its stock until the transaction ends. Raises NotFound."""
    query = select(Product).where(Product.id == product_id).with_for_update(key_share=True)
    product = session.scalars(query).one_or_none()
    if product is None:
        raise NotFound
    return product


def set_stock(
    session: Session, product: Product, stock: int, stock_was: int | None, now: datetime, *, by: UUID | None
) -> None:
    """Of a product that is held. Raises StockWouldBeNegative."""
    if stock_was is None:
        delta, kind = stock - product.stock_quantity, MovementKind.COUNT
    else:
        delta, kind = stock - stock_was, MovementKind.ADJUST
    if delta:
        move_stock(session, product.id, delta, kind, now, actor_id=by)
