"""The staff move an order: shipped, delivered, or cancelled."""

from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from capabilities.shop.models import Order, OrderStatus
from capabilities.shop.move_order import MOVES, Actor, move_order
from capabilities.shop.orders.bodies import MoveOrderBody
from capabilities.shop.orders.cancel_order import Cancelling, cancel_order, status_of
from capabilities.shop.orders.emails import tell_shipped
from capabilities.shop.orders.payment_status import OrderPaymentStatus, PaymentDisputed, payment_status
from capabilities.shop.orders.problems import AlreadyShipped, NotPaid, TransitionNotAllowed
from capabilities.shop.rules import ShopRules
from database import transaction
from security.edge.problems import DependencyUnavailable

TRIES: Final = 3
PAID: Final = frozenset({OrderPaymentStatus.PAID, OrderPaymentStatus.PARTLY_REFUNDED})


def move_by_staff(rules: ShopRules, order_id: UUID, body: MoveOrderBody, *, by: UUID) -> None:
    """Raises NotFound, TransitionNotAllowed, NotPaid, PaymentDisputed, PaymentPending, Stripe's problems."""
    for _ in range(TRIES):
        status = status_of(order_id)
        if body.status is status:
            return
        refuse(status, body.status)
        if body.status is OrderStatus.CANCELLED:
            try:
                cancel_order(rules, order_id, Cancelling(Actor.STAFF, by, body.reason))
            except AlreadyShipped:
                continue
            return
        if moved(rules, order_id, status, body, by):
            return
    raise DependencyUnavailable  # others move it all the time


def refuse(old: OrderStatus, new: OrderStatus) -> None:
    """Only its payment confirms an order."""
    if new not in MOVES[old]:
        raise TransitionNotAllowed(order_status=old, allowed=sorted(MOVES[old] - {OrderStatus.CONFIRMED}))
    if new is OrderStatus.CONFIRMED:
        raise NotPaid


def moved(rules: ShopRules, order_id: UUID, old: OrderStatus, body: MoveOrderBody, by: UUID) -> bool:
    """False when somebody was quicker."""
    now, tracking = rules.clock(), {} if body.tracking is None else {"tracking": body.tracking}
    with transaction() as session:
        if body.status is OrderStatus.SHIPPED:
            refuse_to_ship(session, order_id)
        if not move_order(
            session, order_id, old, body.status, now, actor=Actor.STAFF, actor_id=by, reason=body.reason, **tracking
        ):
            return False
        if body.status is OrderStatus.SHIPPED:
            tell_shipped(rules, session, order_id)
    return True


def refuse_to_ship(session: Session, order_id: UUID) -> None:
    """What the bank has taken back, or we have given back, is not sent."""
    session.get_one(Order, order_id, with_for_update=True)
    status = payment_status(session, order_id)
    if status is OrderPaymentStatus.DISPUTED:
        raise PaymentDisputed
    if status not in PAID:
        raise NotPaid
