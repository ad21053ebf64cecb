"""Cancel an order: what it took is there for others again, and what was paid goes back."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from capabilities.shop.models import Order, OrderStatus
from capabilities.shop.move_order import Actor, move_order
from capabilities.shop.move_stock import release_stock
from capabilities.shop.orders.problems import AlreadyShipped, PaymentPending
from capabilities.shop.refunds.give_all_back import REFUND_ORDER
from capabilities.shop.rules import ShopRules
from database import reading, transaction
from database.jobs.declare import enqueue_job
from metering.purchase import ORDER
from payments.models import Payment
from payments.purchases.status import OPEN
from security.edge.problems import DependencyUnavailable, NotFound

TRIES: Final = 3


@dataclass(frozen=True)
class Cancelling:
    """Who does it, and why. `only_unpaid`: its time is over, and one that is paid stays."""

    actor: Actor
    actor_id: UUID | None = None
    reason: str | None = None
    only_unpaid: bool = False


def cancel_order(rules: ShopRules, order_id: UUID, cancelling: Cancelling) -> bool:
    """False when it was cancelled before, or was paid at that very moment, which leaves it confirmed. Asks Stripe when there is a
    payment that could still be made.

    Raises NotFound, AlreadyShipped, PaymentPending, Stripe's problems.
    """
    was_pending = False
    for _ in range(TRIES):
        status = status_of(order_id)
        if status is OrderStatus.PENDING:
            was_pending = True
            if not rules.payments.end(ORDER, order_id):
                raise PaymentPending
            if cancelled(rules, order_id, status, cancelling):
                return True
        elif status is OrderStatus.CONFIRMED:
            if was_pending or cancelling.only_unpaid:
                return False
            if cancelled(rules, order_id, status, cancelling):
                return True
        elif status is OrderStatus.CANCELLED:
            return False
        else:
            raise AlreadyShipped
    raise DependencyUnavailable  # somebody begins to pay, again and again


def status_of(order_id: UUID) -> OrderStatus:
    with reading() as session:
        status = session.scalars(select(Order.status).where(Order.id == order_id)).one_or_none()
    if status is None:
        raise NotFound
    return OrderStatus(status)


def cancelled(rules: ShopRules, order_id: UUID, old: OrderStatus, cancelling: Cancelling) -> bool:
    """False when the order has moved meanwhile, or somebody has begun to pay it."""
    now = rules.clock()
    with transaction() as session:
        session.execute(select(Order.id).where(Order.id == order_id).with_for_update())
        if old is OrderStatus.PENDING and is_being_paid(session, order_id):
            return False
        moved = move_order(
            session,
            order_id,
            old,
            OrderStatus.CANCELLED,
            now,
            actor=cancelling.actor,
            actor_id=cancelling.actor_id,
            reason=cancelling.reason,
            cancel_reason=None if cancelling.actor is Actor.STAFF else cancelling.reason,
        )
        if not moved:
            return False
        if old is OrderStatus.CONFIRMED:
            enqueue_job(session, REFUND_ORDER, order_id=str(order_id))
        release_stock(session, order_id, now)
    return True


def is_being_paid(session: Session, order_id: UUID) -> bool:
    """The order is locked, and a payment is begun under that lock (`Orders.price`), so none is begun meanwhile."""
    is_open = exists().where(Payment.purchase_kind == ORDER, Payment.purchase_id == order_id, Payment.status.in_(OPEN))
    return bool(session.execute(select(is_open)).scalar_one())
