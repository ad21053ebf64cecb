"""What Stripe says of the refunds of an order, written down. Everybody who asks Stripe ends here: whoever gives money back, the job
that finishes what was left undone, the event and the reconciler. So a refund is done once.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from capabilities.shop.models import MovementKind, Order, OrderItem, Refund, RefundState
from capabilities.shop.move_stock import held_by_line, move_stock
from capabilities.shop.orders.emails import tell_buyer, with_currency
from capabilities.shop.rules import ShopRules
from metering.purchase import KnownRefund
from payments.billing.counts import count

KEY = "refund:"
MADE_AT_STRIPE = "Refunded in Stripe's dashboard"
PAID_TOO_LATE = "Paid after the order was cancelled"
LATE_MONEY = "shop_paid_after_end"
"""Counted: money for an order that was cancelled, or that was paid already. It goes back by itself."""


def key_of(refund_id: UUID) -> str:
    """What Stripe knows it by."""
    return f"{KEY}{refund_id}"


def record_refunds(
    rules: ShopRules, session: Session, order: Order, refunds: Sequence[KnownRefund], now: datetime
) -> None:
    """Of the payment that paid the order, which is locked."""
    rows = list(session.scalars(select(Refund).where(Refund.order_id == order.id).with_for_update()))
    by_key, by_id = {key_of(row.id): row for row in rows}, {row.stripe_refund_id: row for row in rows}
    for each in refunds:
        row = by_key.get(each.key or "") or by_id.get(each.id)
        if row is None:
            adopt(rules, session, order, each, now)
        elif each.failed:
            row.stripe_refund_id = each.id
            fail(session, order, row, now)
        elif row.state != RefundState.DONE:
            row.stripe_refund_id = each.id
            finish(rules, session, order, row, now)


def adopt(rules: ShopRules, session: Session, order: Order, known: KnownRefund, now: datetime) -> None:
    """One that was made without us."""
    if known.failed or not fits(order, known.amount):
        return
    order.refunded_minor += known.amount
    row = Refund(
        order_id=order.id,
        amount_minor=known.amount,
        reason=MADE_AT_STRIPE if order.confirmed_at else PAID_TOO_LATE,
        state=RefundState.REQUESTED,
        stripe_refund_id=known.id,
        created_at=now,
    )
    session.add(row)
    session.flush()
    finish(rules, session, order, row, now)
    if order.confirmed_at is None:
        count(session, LATE_MONEY, now)


def finish(rules: ShopRules, session: Session, order: Order, row: Refund, now: datetime) -> None:
    """The goods that it names are there for others again. What is back already is not put back twice."""
    if row.state == RefundState.FAILED:  # we took it for refused, and Stripe made it all the same
        if not fits(order, row.amount_minor):
            return
        claim(session, order, row, 1)
    row.state, row.done_at = RefundState.DONE, now
    order.updated_at = now
    restock = {UUID(each["order_item_id"]): each["quantity"] for each in row.items if each["restock"]}
    if restock:
        for line in held_by_line(session, order.id):
            back = min(restock.get(line.id, 0), line.held)
            if back > 0:
                move_stock(
                    session,
                    line.product_id,
                    back,
                    MovementKind.RETURN,
                    now,
                    order_item_id=line.id,
                    refund_id=row.id,
                    actor_id=row.actor_id,
                )
    tell_buyer(rules, session, order, "order_refunded", {"amount": with_currency(row.amount_minor, order.currency)})


def fail(session: Session, order: Order, row: Refund, now: datetime) -> None:
    """No money went back, or it came back to us. Another refund may give it. Goods that were put back stay there."""
    if row.state == RefundState.FAILED:
        return
    claim(session, order, row, -1)
    row.state, row.done_at = RefundState.FAILED, now
    order.updated_at = now


def fits(order: Order, amount: int) -> bool:
    """While a requested refund claims the money, what Stripe tells of another one has to wait: Stripe will refuse the requested one,
    and then there is room.
    """
    return order.refunded_minor + amount <= order.total_minor


def claim(session: Session, order: Order, row: Refund, sign: int) -> None:
    """Its amount and quantities count as given back, or no longer. The CHECK of the order refuses more than was paid."""
    order.refunded_minor += sign * row.amount_minor
    for each in row.items:
        quantity = OrderItem.refunded_quantity + sign * each["quantity"]
        session.execute(
            update(OrderItem)
            .where(OrderItem.id == UUID(each["order_item_id"]))
            .values(refunded_quantity=func.least(OrderItem.quantity, func.greatest(0, quantity)))
            .execution_options(synchronize_session=False)
        )
    session.flush()
