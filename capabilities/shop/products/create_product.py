"""Add a product to the catalogue."""

from uuid import UUID

from sqlalchemy.orm import Session

from auth.audit.record import record
from capabilities.shop.models import MovementKind, Product
from capabilities.shop.move_stock import move_stock
from capabilities.shop.products.bodies import NewProductBody, ProductAnswer
from capabilities.shop.products.price import price_of
from capabilities.shop.products.problems import refusing_a_taken_sku
from capabilities.shop.products.show import product_answer
from capabilities.shop.rules import ShopRules


def create_product(rules: ShopRules, session: Session, body: NewProductBody, *, by: UUID | None) -> ProductAnswer:
    """`by` is the member of the staff, None for the command line. Raises ValidationFailed, SkuTaken."""
    now, currency = rules.clock(), body.currency or rules.currency
    product = Product(
        **body.model_dump(exclude={"price", "price_minor", "currency", "stock_quantity"}),
        price_minor=price_of(body, currency),
        currency=currency,
        stock_quantity=0,
        created_at=now,
        updated_at=now,
    )
    session.add(product)
    with refusing_a_taken_sku():
        session.flush()
    if body.stock_quantity:
        move_stock(session, product.id, body.stock_quantity, MovementKind.INITIAL, now, actor_id=by)
    record(session, "product_created", now, user_id=None, actor_id=by, product_id=str(product.id))
    return product_answer(session, product.id)
