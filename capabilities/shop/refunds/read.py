"""Refunds as staff see them."""

from uuid import UUID

from sqlalchemy import select

from capabilities.shop.models import Order, Refund, RefundState
from capabilities.shop.money import written
from capabilities.shop.refunds.bodies import RefundAnswer, RefundedLine
from database import reading


def read_refund(refund_id: UUID) -> RefundAnswer:
    with reading() as session:
        refund, currency = session.execute(
            select(Refund, Order.currency).join(Order, Order.id == Refund.order_id).where(Refund.id == refund_id)
        ).one()
    return refund_answer(refund, currency)


def refund_answer(refund: Refund, currency: str) -> RefundAnswer:
    return RefundAnswer(
        id=refund.id,
        order_id=refund.order_id,
        amount=written(refund.amount_minor, currency),
        amount_minor=refund.amount_minor,
        currency=currency,
        reason=refund.reason,
        state=RefundState(refund.state),
        items=[RefundedLine.model_validate(each) for each in refund.items],
        stripe_refund_id=refund.stripe_refund_id,
        actor_id=refund.actor_id,
        created_at=refund.created_at,
        done_at=refund.done_at,
    )
