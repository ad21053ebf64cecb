"""A cancelled order that was paid: all of its money goes back."""

from uuid import UUID

import structlog
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from capabilities.shop.models import Order, OrderStatus, Refund, RefundState
from capabilities.shop.orders.payment_status import PaymentDisputed
from capabilities.shop.refunds.complete_refund import complete_refund
from capabilities.shop.refunds.request_refund import NothingToRefund, add_refund, refuse_unrefundable
from capabilities.shop.rules import ShopRules
from database import reading, transaction
from database.jobs.declare import JobName, Urgency

REFUND_ORDER = JobName("refund_order", Urgency.PAYMENTS)
"""Enqueued with the `order_id` of an order that was confirmed, in the transaction that cancels it."""
REASON = "The order was cancelled"


def give_all_back(rules: ShopRules, order_id: UUID) -> None:
    """Can be repeated: what a refund has given back, or is about to, is not given again. Raises Stripe's problems: then the job is
    repeated, and what it requested is finished by another job as well.
    """
    with reading() as session:
        payment_id = session.execute(select(Order.payment_id).where(Order.id == order_id)).scalar_one()
    if payment_id is None:
        return  # it cost nothing
    rules.payments.follow(payment_id)  # what was refunded in Stripe's dashboard counts
    with transaction() as session:
        request_the_rest(rules, session, session.get_one(Order, order_id, with_for_update=True))
    with reading() as session:
        requested = select(Refund.id).where(Refund.order_id == order_id, Refund.state == RefundState.REQUESTED)
        left = list(session.scalars(requested))
    for refund_id in left:
        complete_refund(rules, refund_id)


def request_the_rest(rules: ShopRules, session: Session, order: Order) -> None:
    came_back = exists().where(
        Refund.order_id == order.id, Refund.state == RefundState.FAILED, Refund.stripe_refund_id.is_not(None)
    )
    try:
        left = refuse_unrefundable(session, order)
    except (PaymentDisputed, NothingToRefund) as reason:
        # A dispute that we win comes back here: see `Orders.paid`.
        structlog.get_logger().info("shop_order_not_refunded", order=str(order.id), reason=reason.error)
        return
    if order.status != OrderStatus.CANCELLED:
        return
    if session.execute(select(came_back)).scalar_one():
        # The buyer's bank has sent it back to us, and would again. A person pays it in another way.
        structlog.get_logger().error("shop_order_not_refunded", order=str(order.id), reason="refund_failed")
        return
    add_refund(session, order, left, REASON, rules.clock())
