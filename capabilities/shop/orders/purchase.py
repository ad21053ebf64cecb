"""An order is what a one-off payment pays for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from capabilities.shop.models import Order, OrderStatus
from capabilities.shop.orders.confirm_order import confirm_order
from capabilities.shop.orders.payment_status import OrderPaymentStatus, payment_status
from capabilities.shop.refunds.give_all_back import REFUND_ORDER
from capabilities.shop.refunds.record import LATE_MONEY, record_refunds
from capabilities.shop.rules import ShopRules
from database.jobs.declare import enqueue_job
from metering.purchase import GIVE_MONEY_BACK, ORDER, KnownRefund, Price, Purchase
from payments.billing.counts import count
from payments.purchases.confirm import PaymentClosed
from payments.purchases.orders import OrderNotPayable
from security.edge.problems import NotFound


@dataclass(frozen=True)
class Orders:
    """See `Purchases`. The stock was taken when the order was placed, and goes back when it is cancelled: a payment that is
    given up leaves the order as it is. Each method locks the order, after the payment where that is locked.
    """

    rules: ShopRules
    kind: str = ORDER

    def price(self, session: Session, user_id: UUID, purchase: Purchase) -> Price:
        """An order is not cancelled while a payment for it is begun. Raises NotFound, OrderNotPayable, PaymentClosed."""
        order = session.scalars(
            select(Order).where(Order.id == purchase.id, Order.user_id == user_id).with_for_update()
        ).one_or_none()
        if order is None:
            raise NotFound
        self._refuse_unpayable(order)
        if payment_status(session, order.id) is OrderPaymentStatus.HELD:
            # It has the buyer's money, and a person decides what becomes of that.
            raise PaymentClosed(payment_status=OrderPaymentStatus.HELD.value)
        return Price(order.total_minor, order.currency, until=order.reserved_until)

    def refuse_late(self, session: Session, purchase: Purchase) -> None:
        self._refuse_unpayable(session.get_one(Order, purchase.id))

    def reserve(self, session: Session, purchase: Purchase) -> bool:
        """False for money that comes after the order was cancelled, or paid by another payment."""
        order = locked(session, purchase.id)
        if order.status != OrderStatus.PENDING:
            self._count_second_payment(session, order, purchase)
            return False
        order.payment_id = purchase.payment_id
        return True

    def release(self, session: Session, purchase: Purchase) -> None:
        """The order waits for another payment until its own time is over."""

    def paid(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """Money for an order that ended unpaid, or that another payment has paid, goes back. So does that of a cancelled one, when
        the bank had it and gave it back to us.
        """
        assert purchase.payment_id is not None
        if confirm_order(self.rules, session, purchase.id, now, payment_id=purchase.payment_id):
            return
        order = locked(session, purchase.id)
        if order.confirmed_at is None or order.payment_id != purchase.payment_id:
            enqueue_job(session, GIVE_MONEY_BACK, payment_id=str(purchase.payment_id))
            self._count_second_payment(session, order, purchase)
        elif order.status == OrderStatus.CANCELLED:
            enqueue_job(session, REFUND_ORDER, order_id=str(order.id))

    def given_back(self, session: Session, purchase: Purchase, now: datetime) -> None:
        """The goods stay where they are: staff say with a refund whether they came back."""

    def refunded(self, session: Session, purchase: Purchase, refunds: Sequence[KnownRefund], now: datetime) -> None:
        order = locked(session, purchase.id)
        if order.payment_id == purchase.payment_id:
            record_refunds(self.rules, session, order, refunds, now)

    def _count_second_payment(self, session: Session, order: Order, purchase: Purchase) -> None:
        """That of the order itself is counted when it went back: see refunds/record.py."""
        if order.payment_id != purchase.payment_id:
            count(session, LATE_MONEY, self.rules.clock())

    def _refuse_unpayable(self, order: Order) -> None:
        if order.status != OrderStatus.PENDING or order.reserved_until <= self.rules.clock():
            raise OrderNotPayable(order_status=order.status)


def locked(session: Session, order_id: UUID) -> Order:
    return session.get_one(Order, order_id, with_for_update=True, populate_existing=True)
