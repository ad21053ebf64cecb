"""An order is what a one-off payment pays for."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from capabilities.shop.models import Order, OrderStatus
from capabilities.shop.move_order import Actor, move_order
from capabilities.shop.rules import ShopRules
from database.jobs.declare import enqueue_job
from metering.purchase import GIVE_MONEY_BACK, Price, Purchase
from security.edge.problems import NotFound, Problem

ORDER = "order"


class OrderNotPayable(Problem):
    """`order_status` says what it is in."""

    status, error, title = 409, "order_not_payable", "This order cannot be paid"


@dataclass(frozen=True)
class Orders:
    """See `Purchases`. The stock was taken when the order was placed, and goes back when it is cancelled: a payment that is
    given up leaves the order as it is.
    """

    rules: ShopRules
    kind: str = ORDER

    def price(self, session: Session, user_id: UUID, purchase: Purchase) -> Price:
        """Locks the order: it is not cancelled while a payment for it is begun. Raises NotFound, OrderNotPayable."""
        order = session.scalars(
            select(Order).where(Order.id == purchase.id, Order.user_id == user_id).with_for_update()
        ).one_or_none()
        if order is None:
            raise NotFound
        if order.status != OrderStatus.PENDING or order.reserved_until <= self.rules.clock():
            raise OrderNotPayable(order_status=order.status)
        return Price(order.total_minor, order.currency)

    def reserve(self, session: Session, purchase: Purchase) -> bool:
        """False for money that comes after the order was cancelled."""
        status = session.execute(select(Order.status).where(Order.id == purchase.id).with_for_update()).scalar_one()
        return status == OrderStatus.PENDING

    def release(self, session: Session, purchase: Purchase) -> None:
        """The order waits for another payment until its own time is over."""

    def paid(self, session: Session, purchase: Purchase, now: datetime) -> None:
        confirmed = move_order(
            session,
            purchase.id,
            OrderStatus.PENDING,
            OrderStatus.CONFIRMED,
            now,
            actor=Actor.PAYMENT,
            payment_id=purchase.payment_id,
        )
        if confirmed:
            return
        order = session.get_one(Order, purchase.id)
        if order.status == OrderStatus.CANCELLED and order.payment_id != purchase.payment_id:
            enqueue_job(session, GIVE_MONEY_BACK, payment_id=str(purchase.payment_id))

    def given_back(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """The goods stay where they are: staff say with a refund whether they came back."""
