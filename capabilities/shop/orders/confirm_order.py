"""An order is paid: it is the buyer's, and who has to know is told. Its payment does that, or nobody when it costs nothing."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from capabilities.shop.models import OrderStatus
from capabilities.shop.move_order import Actor, move_order
from capabilities.shop.orders.emails import tell_confirmed
from capabilities.shop.rules import ShopRules


def confirm_order(rules: ShopRules, session: Session, order_id: UUID, now: datetime, *, payment_id: UUID) -> bool:
    """False when it is not pending any more."""
    confirmed = move_order(
        session,
        order_id,
        OrderStatus.PENDING,
        OrderStatus.CONFIRMED,
        now,
        actor=Actor.PAYMENT,
        payment_id=payment_id,
    )
    if confirmed:
        tell_confirmed(rules, session, order_id)
    return confirmed
