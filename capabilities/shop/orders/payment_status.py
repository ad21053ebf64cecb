"""How an order is paid. Its payment says so, which follows Stripe, and nothing of it is written down a second time."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from capabilities.shop.models import Order
from payments.models import Payment
from payments.purchases.page_id import is_page
from payments.purchases.status import PaymentStatus
from security.edge.problems import Problem


class OrderPaymentStatus(StrEnum):
    UNPAID = "unpaid"
    PROCESSING = "processing"
    """The bank has not decided."""
    PAID = "paid"
    """Also an order that costs nothing."""
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    """The cardholder's bank took the money back, and decides. Or it has decided against us."""
    HELD = "held"
    """What was paid is not what was ordered. A person must look."""


class PaymentDisputed(Problem):
    status, error, title = 409, "payment_disputed", "The payment of this order is disputed"


@dataclass(frozen=True)
class OrderPayment:
    """`refunded_minor` is what Stripe gave back, whoever asked for it: this API or somebody in Stripe's dashboard."""

    payment_id: UUID | None
    stripe_payment_intent_id: str | None
    status: OrderPaymentStatus
    refunded_minor: int


def orders_with_payments() -> Select[Order, Payment]:
    """Each order with the payment that `payment_of` takes, or None."""
    return select(Order, Payment).outerjoin(Payment, Payment.id == Order.payment_id)


def payment_of(order: Order, payment: Payment | None) -> OrderPayment:
    if payment is None:
        free = order.total_minor == 0 and order.confirmed_at is not None
        return OrderPayment(None, None, OrderPaymentStatus.PAID if free else OrderPaymentStatus.UNPAID, 0)
    return OrderPayment(
        payment_id=payment.id,
        stripe_payment_intent_id=None if is_page(payment.external_id) else payment.external_id,
        status=shown(PaymentStatus(payment.status), payment.refunded_amount),
        refunded_minor=payment.refunded_amount,
    )


def payment_status(session: Session, order_id: UUID) -> OrderPaymentStatus:
    return payment_of(*session.execute(orders_with_payments().where(Order.id == order_id)).one()).status


def shown(status: PaymentStatus, refunded: int) -> OrderPaymentStatus:
    match status:
        case PaymentStatus.SUCCEEDED:
            return OrderPaymentStatus.PARTLY_REFUNDED if refunded else OrderPaymentStatus.PAID
        case PaymentStatus.PROCESSING | PaymentStatus.REFUNDED | PaymentStatus.DISPUTED | PaymentStatus.HELD:
            return OrderPaymentStatus(status.value)
        case PaymentStatus.PENDING | PaymentStatus.ACTION_REQUIRED | PaymentStatus.CANCELED:
            return OrderPaymentStatus.UNPAID
