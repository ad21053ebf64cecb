"""Take a product off sale. Orders that name it keep it."""

from datetime import datetime
from uuid import UUID

from auth.audit.record import record
from capabilities.shop.products.replace_product import hold_product
from database import transaction


def withdraw_product(product_id: UUID, now: datetime, *, by: UUID) -> None:
    """Raises NotFound."""
    with transaction() as session:
        product = hold_product(session, product_id)
        if product.is_active:
            product.is_active, product.updated_at = False, now
            record(session, "product_withdrawn", now, user_id=None, actor_id=by, product_id=str(product_id))
