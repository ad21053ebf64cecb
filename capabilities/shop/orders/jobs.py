"""Orders that nobody paid in time give back what they hold."""

from typing import Final
from uuid import UUID

from sqlalchemy import exists, select

from capabilities.shop.models import Order, OrderStatus
from capabilities.shop.move_order import Actor
from capabilities.shop.orders.cancel_order import Cancelling, cancel_order
from capabilities.shop.orders.problems import PaymentPending
from capabilities.shop.rules import ShopRules
from database import reading
from database.batch import not_passed_over, work_through
from database.jobs.declare import Job, JobName, Urgency
from metering.purchase import ORDER
from payments.models import Payment
from payments.purchases.status import OPEN, PaymentStatus
from payments.stripe.problems import NOTHING_CAN_BE_ASKED

RELEASE: Final = JobName("release_unpaid_orders", Urgency.PAYMENTS)
PORTION: Final = 100


def order_jobs(rules: ShopRules) -> tuple[Job, ...]:
    return (Job(RELEASE, lambda: release_unpaid_orders(rules), cron="* * * * *"),)


def release_unpaid_orders(rules: ShopRules) -> int:
    """Says how many were cancelled. While Stripe cannot be reached, those that it would have to be asked about wait."""
    return work_through(RELEASE, due_orders(rules), lambda each: release(rules, each), unless=NOTHING_CAN_BE_ASKED)


def due_orders(rules: ShopRules) -> list[UUID]:
    """Those that Stripe need not be asked about come first. While a bank decides about a payment, the order waits."""
    payment = (Payment.purchase_kind == ORDER) & (Payment.purchase_id == Order.id)
    is_open = exists().where(payment, Payment.status.in_(OPEN))
    is_decided_upon = exists().where(payment, Payment.status == PaymentStatus.PROCESSING)
    query = (
        select(Order.id)
        .where(
            Order.status == OrderStatus.PENDING,
            Order.reserved_until <= rules.clock(),
            ~is_decided_upon,
            not_passed_over(RELEASE, Order.id),
        )
        .order_by(is_open, Order.reserved_until)
        .limit(PORTION)
    )
    with reading() as session:
        return list(session.scalars(query))


def release(rules: ShopRules, order_id: UUID) -> int:
    try:
        return cancel_order(
            rules, order_id, Cancelling(Actor.SYSTEM, reason="It was not paid in time", only_unpaid=True)
        )
    except PaymentPending:
        return 0
