"""Order something that is paid once: its price is ours, it is set aside, and Stripe waits for a card."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from database import reading, transaction
from database.base import uuid7
from metering.purchase import ORDER, Purchase
from payments.models import Payment
from payments.purchases.bodies import OpenPaymentAnswer
from payments.purchases.follow_intent import FetchedIntent, fetch_intent, fetched_by, follow_intent, give_up
from payments.purchases.page_id import BEGUN, is_page
from payments.purchases.release import release
from payments.purchases.status import OPEN, PaymentStatus
from payments.stripe.customer import forget_stripe_customer, stripe_customer
from payments.stripe.problems import AmountTooSmall, StripeObjectMissing, StripeRefused
from payments.stripe.rules import StripeRules
from payments.subscriptions.grant_tier import lock_user
from payments.subscriptions.status import Provider
from security.edge.problems import InvalidToken, Problem

RESERVED_FOR = timedelta(minutes=30)
LARGEST_AMOUNT = 99_999_999
"""What Stripe takes in one payment, in minor units."""


class OutOfStock(Problem):
    status, error, title = 409, "out_of_stock", "There are not enough left"


class PaymentOpen(Problem):
    """`payment_id` names the payment of another quantity that is still open."""

    status, error, title = 409, "payment_open", "You already have an open payment for this"


class AmountTooLarge(Problem):
    status, error, title = 409, "amount_too_large", "The amount is too large for one payment"


@dataclass(frozen=True)
class OrderedPayment:
    """A row of ours. `intent_id` is None until Stripe has answered; or it names a page (page_id.py)."""

    id: UUID
    intent_id: str | None
    amount: int
    currency: str
    reserved_until: datetime


def create_intent(rules: StripeRules, user_id: UUID, purchase: Purchase) -> OpenPaymentAnswer:
    """Asking twice gives the same payment. Raises what the purchase's price raises, OutOfStock, PaymentOpen, AmountTooLarge,
    AmountTooSmall, Stripe's problems.
    """
    for _ in range(3):
        customer_id = stripe_customer(rules, user_id)
        with transaction() as session:
            ordered = order(rules, session, user_id, purchase)
        if is_page(ordered.intent_id):
            release(rules, ordered.id, ordered.intent_id)
            continue
        try:
            return followed(rules, ordered.id, intent_of(rules, ordered, user_id, customer_id))
        except StripeObjectMissing as missing:
            # It was deleted there, or the key is of another account or mode now. Another try begins anew.
            give_up(rules, ordered.id, ordered.intent_id)
            if missing.param == "customer":
                with transaction() as session:
                    forget_stripe_customer(session, customer_id)
        except AmountTooSmall:
            give_up(rules, ordered.id, None)
            raise
    raise StripeRefused


def intent_of(rules: StripeRules, ordered: OrderedPayment, user_id: UUID, customer_id: str) -> FetchedIntent:
    """Raises StripeObjectMissing, and Stripe's problems."""
    if ordered.intent_id is not None:
        return fetch_intent(rules, ordered.intent_id)
    return fetched_by(
        rules,
        lambda: rules.handler.create_intent(
            amount=ordered.amount,
            currency=ordered.currency,
            customer_id=customer_id,
            metadata={"payment_id": str(ordered.id), "user_id": str(user_id)},
            key=f"payment:{ordered.id}",
        ),
    )


def order(
    rules: StripeRules, session: Session, user_id: UUID, purchase: Purchase, *, page_lives: timedelta | None = None
) -> OrderedPayment:
    """The open payment for this purchase, or a new one. `page_lives`: the new one will be paid on a page, for so long."""
    now = rules.billing.clock()
    if not lock_user(session, user_id):
        raise InvalidToken
    purchases = rules.purchases_of(purchase.kind)
    price = purchases.price(session, user_id, purchase)
    found = session.scalars(
        select(Payment).where(
            Payment.user_id == user_id,
            Payment.purchase_kind == purchase.kind,
            Payment.purchase_id == purchase.id,
            Payment.status.in_(OPEN),
        )
    ).one_or_none()
    if found is not None:
        if found.quantity != purchase.quantity:
            raise PaymentOpen(payment_id=str(found.id))
        return ordered_payment(found)
    if price.amount > LARGEST_AMOUNT:
        raise AmountTooLarge
    payment_id = uuid7()
    payment = Payment(
        id=payment_id,
        external_id=None if page_lives is None else f"{BEGUN}{payment_id}",
        user_id=user_id,
        provider=Provider.STRIPE,
        amount=price.amount,
        currency=price.currency,
        purchase_kind=purchase.kind,
        purchase_id=purchase.id,
        quantity=purchase.quantity,
        reserved_until=price.until or now + (page_lives or RESERVED_FOR),
        status=PaymentStatus.PENDING,
        created_at=now,
        updated_at=now,
    )
    session.add(payment)
    session.flush()
    if not purchases.reserve(session, replace(purchase, payment_id=payment_id)):
        raise OutOfStock
    return ordered_payment(payment)


def ordered_payment(row: Payment) -> OrderedPayment:
    return OrderedPayment(row.id, row.external_id, row.amount, row.currency, row.reserved_until)


def followed(rules: StripeRules, payment_id: UUID, fetched: FetchedIntent) -> OpenPaymentAnswer:
    """Write the intent down and show what came of it."""
    with transaction() as session:
        follow_intent(rules, session, rules.billing.clock(), fetched)
        row = session.get_one(Payment, payment_id)
        secret = fetched.intent.client_secret if row.status in OPEN else None
        return open_payment(row, secret)


def show_open_payment(rules: StripeRules, payment_id: UUID) -> OpenPaymentAnswer:
    """As it is now. While it is open, Stripe is asked for the secret again."""
    for _ in range(2):
        with reading() as session:
            row = session.get_one(Payment, payment_id)
        if row.external_id is None or is_page(row.external_id) or row.status not in OPEN:
            break
        try:
            return followed(rules, row.id, fetch_intent(rules, row.external_id))
        except StripeObjectMissing:
            give_up(rules, row.id, row.external_id)
    return open_payment(row)


def open_payment(row: Payment, client_secret: str | None = None) -> OpenPaymentAnswer:
    return OpenPaymentAnswer(
        id=row.id,
        status=PaymentStatus(row.status),
        amount=row.amount,
        currency=row.currency,
        client_secret=client_secret,
        order_id=order_id_of(row),
    )


def order_id_of(row: Payment) -> UUID | None:
    return row.purchase_id if row.purchase_kind == ORDER else None
