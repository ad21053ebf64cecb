"""What the shop holds about a user."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from auth.personal_data import PersonalData


def export_orders(session: Session, user_id: UUID) -> dict[str, Any]:
    return {}


SHOP_DATA = PersonalData("shop", export_orders)
