"""A requested refund is made at Stripe: by whoever requested it, and by a job when that one did not come back."""

from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import select

from capabilities.shop.models import Order, Refund, RefundState
from capabilities.shop.refunds.record import fail, key_of
from capabilities.shop.rules import ShopRules
from database import reading, transaction
from database.batch import work_through
from metering.purchase import RefundRefused
from payments.stripe.problems import (
    NOTHING_CAN_BE_ASKED,
    STRIPE_PROBLEMS,
    CardDeclined,
    StripeKeyRefused,
    StripeRefused,
)

LEFT_ALONE = timedelta(minutes=2)
"""What was requested a moment ago is still being worked on. Longer than Stripe's answers take, with every retry."""


def complete_refund(rules: ShopRules, refund_id: UUID) -> RefundState:
    """Can be repeated: money goes back once. Raises Stripe's problems while it is not known what became of it."""
    with reading() as session:
        state, amount, payment_id = session.execute(
            select(Refund.state, Refund.amount_minor, Order.payment_id)
            .join(Order, Order.id == Refund.order_id)
            .where(Refund.id == refund_id)
        ).one()
    if state != RefundState.REQUESTED:
        return RefundState(state)
    assert payment_id is not None  # no other order has refunds
    try:
        rules.payments.refund(payment_id, amount, key_of(refund_id))
    except StripeKeyRefused:
        raise  # of our key, and not of this refund: it is made when the key is right
    except (RefundRefused, StripeRefused, CardDeclined) as refusal:
        structlog.get_logger().error("shop_refund_refused", refund=str(refund_id), reason=type(refusal).__name__)
        take_back(rules, refund_id)
        with suppress(*STRIPE_PROBLEMS):
            rules.payments.follow(payment_id)  # what went back in another way is why
    with reading() as session:
        return RefundState(session.execute(select(Refund.state).where(Refund.id == refund_id)).scalar_one())


def take_back(rules: ShopRules, refund_id: UUID) -> None:
    with transaction() as session:
        order_id = session.execute(select(Refund.order_id).where(Refund.id == refund_id)).scalar_one()
        order = session.get_one(Order, order_id, with_for_update=True)
        refund = session.get_one(Refund, refund_id, with_for_update=True)
        if refund.state == RefundState.REQUESTED:
            fail(session, order, refund, rules.clock())


def finish_refunds(rules: ShopRules) -> int:
    """The job. Each refund has its own fate: one that cannot be made keeps nobody else's money."""
    query = (
        select(Refund.id)
        .where(Refund.state == RefundState.REQUESTED, Refund.created_at <= rules.clock() - LEFT_ALONE)
        .order_by(Refund.created_at)
    )
    with reading() as session:
        left = list(session.scalars(query))
    return work_through(
        "finish_refunds",
        left,
        lambda each: int(complete_refund(rules, each) is RefundState.DONE),
        unless=NOTHING_CAN_BE_ASKED,
    )
