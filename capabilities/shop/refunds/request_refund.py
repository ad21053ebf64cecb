"""A refund is written down before Stripe is asked, so what happens afterwards cannot be forgotten."""

from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from capabilities.shop.models import Order, OrderItem, Refund, RefundState
from capabilities.shop.money import chargeable, minor_units, written
from capabilities.shop.orders.payment_status import OrderPaymentStatus, PaymentDisputed, payment_status
from capabilities.shop.refunds.bodies import RefundAmountBody, RefundItemsBody, RefundLine
from capabilities.shop.refunds.record import claim
from database import reading
from database.base import uuid7
from payments.stripe.problems import StripeRefused
from security.edge.problems import NotFound, Problem, ValidationFailed, field_error


class NothingToRefund(Problem):
    """`payment_status` says why."""

    status, error, title = 409, "nothing_to_refund", "There is nothing to refund"


class RefundTooLarge(Problem):
    """`refundable_amount` is what is left. Of a line of the order: `order_item_id`, `refundable_quantity`."""

    status, error, title = 409, "refund_too_large", "This is more than what is left to refund"


def request_refund(
    session: Session,
    order_id: UUID,
    wanted: RefundItemsBody | RefundAmountBody,
    now: datetime,
    *,
    actor_id: UUID,
) -> UUID:
    """Its amount counts as given back from now on. Raises NotFound, PaymentDisputed, NothingToRefund, RefundTooLarge,
    ValidationFailed.
    """
    order = session.get(Order, order_id, with_for_update=True)
    if order is None:
        raise NotFound
    lines = wanted.items if isinstance(wanted, RefundItemsBody) else []
    amount = amount_of(order, wanted) if isinstance(wanted, RefundAmountBody) else price_of(session, order, lines)
    left = refuse_unrefundable(session, order)
    if amount == 0:
        raise NothingToRefund("These items cost nothing", payment_status=payment_status(session, order.id).value)
    if amount > left:
        raise RefundTooLarge(refundable_amount=written(left, order.currency))
    return add_refund(
        session,
        order,
        amount,
        wanted.reason,
        now,
        actor_id=actor_id,
        items=[each.model_dump(mode="json") for each in lines],
    )


def add_refund(
    session: Session,
    order: Order,
    amount: int,
    reason: str,
    now: datetime,
    *,
    actor_id: UUID | None = None,
    items: Sequence[dict[str, object]] = (),
) -> UUID:
    refund = Refund(
        id=uuid7(),
        order_id=order.id,
        amount_minor=amount,
        reason=reason,
        state=RefundState.REQUESTED,
        actor_id=actor_id,
        items=list(items),
        created_at=now,
    )
    session.add(refund)
    claim(session, order, refund, 1)
    return refund.id


def refuse_unrefundable(session: Session, order: Order) -> int:
    """What is left, in minor units. Raises PaymentDisputed, NothingToRefund."""
    status = payment_status(session, order.id)
    if status is OrderPaymentStatus.DISPUTED:
        raise PaymentDisputed
    left = order.total_minor - order.refunded_minor
    if left == 0 or status not in {OrderPaymentStatus.PAID, OrderPaymentStatus.PARTLY_REFUNDED}:
        raise NothingToRefund(payment_status=status.value)
    return left


def amount_of(order: Order, wanted: RefundAmountBody) -> int:
    """Raises ValidationFailed for what Stripe cannot move in this currency, and for nothing."""
    try:
        amount = minor_units(wanted.amount, order.currency)
    except ValueError as wrong:
        raise ValidationFailed([field_error(["amount"], "amount", str(wrong))]) from None
    if amount == 0 or chargeable(amount, order.currency) != amount:
        message = "Enter an amount above 0" if amount == 0 else f"Enter an amount that can be paid in {order.currency}"
        raise ValidationFailed([field_error(["amount"], "amount", message)])
    return amount


def price_of(session: Session, order: Order, lines: Sequence[RefundLine]) -> int:
    """Raises ValidationFailed, RefundTooLarge."""
    items = {item.id: item for item in session.scalars(select(OrderItem).where(OrderItem.order_id == order.id))}
    wrong, named = [], set[UUID]()
    for place, line in enumerate(lines):
        at = ("items", place, "order_item_id")
        if line.order_item_id not in items:
            wrong.append(field_error(at, "unknown_item", "This is not an item of this order"))
        elif line.order_item_id in named:
            wrong.append(field_error(at, "duplicate", "Send each item only once"))
        named.add(line.order_item_id)
    if wrong:
        raise ValidationFailed(wrong)
    for line in lines:
        item = items[line.order_item_id]
        left = item.quantity - item.refunded_quantity
        if line.quantity > left:
            raise RefundTooLarge(order_item_id=str(item.id), refundable_quantity=left)
    return sum(items[line.order_item_id].unit_price_minor * line.quantity for line in lines)


def refuse_refused(order_id: UUID, refund_id: UUID) -> NoReturn:
    """Why Stripe did not make it, as far as the order knows it now. Raises PaymentDisputed, NothingToRefund, RefundTooLarge,
    StripeRefused.
    """
    with reading() as session:
        order = session.get_one(Order, order_id)
        left = refuse_unrefundable(session, order)
        if session.get_one(Refund, refund_id).amount_minor > left:
            raise RefundTooLarge(refundable_amount=written(left, order.currency))
    raise StripeRefused
