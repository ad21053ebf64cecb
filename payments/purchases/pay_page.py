"""Pay on a page of Stripe's: its Checkout, in payment mode. No script of Stripe's runs on our own pages.

A payment is made on a page or by an app that holds its client secret, and `external_id` says how: the page's id stands there until
the page was paid. Stripe makes the payment intent of a page only when somebody tries a card, and it can be neither confirmed nor
canceled by itself (docs.stripe.com/api/checkout/sessions/object).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import update

from database import transaction
from metering.purchase import Purchase
from payments.models import Payment
from payments.purchases.create import OrderedPayment, PaymentOpen, order
from payments.purchases.follow_intent import give_up
from payments.purchases.page_id import BEGUN, is_page
from payments.purchases.release import follow_page, release
from payments.purchases.status import OPEN
from payments.stripe.customer import forget_stripe_customer, stripe_customer
from payments.stripe.problems import StripeObjectMissing, StripeRefused
from payments.stripe.rules import StripeRules

LIVES = timedelta(minutes=60)
"""Stripe allows 30 minutes to a day."""
LEAST_LEFT = timedelta(minutes=2)


@dataclass(frozen=True)
class PagePurchase:
    """`name` is what the page says is bought. Both outcomes lead back to pages of ours."""

    purchase: Purchase
    name: str
    success_url: str
    cancel_url: str


def open_pay_page(rules: StripeRules, user_id: UUID, wanted: PagePurchase) -> str:
    """The page's address. Asking twice gives the same page.

    Raises what the purchase's price raises, PaymentOpen, OutOfStock, AmountTooLarge, and Stripe's problems.
    """
    for _ in range(3):
        customer_id = stripe_customer(rules, user_id)
        with transaction() as session:
            ordered = order(rules, session, user_id, wanted.purchase, page_lives=LIVES)
        if not is_page(ordered.intent_id):
            if not release(rules, ordered.id, ordered.intent_id):
                raise PaymentOpen(payment_id=str(ordered.id))
        elif (address := _address(rules, ordered, user_id, customer_id, wanted)) is not None:
            return address
    raise StripeRefused


def _address(
    rules: StripeRules, ordered: OrderedPayment, user_id: UUID, customer_id: str, wanted: PagePurchase
) -> str | None:
    """None when that page is over: then a new payment is needed."""
    assert ordered.intent_id is not None
    try:
        if ordered.intent_id.startswith(BEGUN):
            parameters = _parameters(ordered, user_id, customer_id, wanted)
            page = rules.handler.create_checkout_session(parameters, f"page:{ordered.id}")
        else:
            page = rules.handler.checkout_session(ordered.intent_id)
    except StripeObjectMissing as missing:
        give_up(rules, ordered.id, ordered.intent_id)
        if missing.param == "customer":
            with transaction() as session:
                forget_stripe_customer(session, customer_id)
        return None
    except StripeRefused:
        give_up(rules, ordered.id, ordered.intent_id)
        raise
    kept = _keep(ordered, page.id)
    if kept and page.status == "open" and page.expires_at > rules.billing.clock() + LEAST_LEFT:
        return page.url
    follow_page(rules, ordered.id, rules.handler.expire_checkout_session(page.id))
    return None


def _keep(ordered: OrderedPayment, page_id: str) -> bool:
    """False when the payment ended while Stripe was asked."""
    with transaction() as session:
        kept = session.execute(
            update(Payment)
            .where(Payment.id == ordered.id, Payment.status.in_(OPEN))
            .where(Payment.external_id.in_([ordered.intent_id, page_id]))
            .values(external_id=page_id)
            .returning(Payment.id)
        )
        return kept.first() is not None


def _parameters(ordered: OrderedPayment, user_id: UUID, customer_id: str, wanted: PagePurchase) -> dict[str, Any]:
    """The same each time, for they go with one idempotency key. Cards alone: they are decided on while the buyer is there."""
    named = {"payment_id": str(ordered.id), "user_id": str(user_id)}
    product = {
        "currency": ordered.currency,
        "unit_amount": ordered.amount,
        "product_data": {"name": wanted.name},
    }
    return {
        "mode": "payment",
        "customer": customer_id,
        "client_reference_id": str(user_id),
        "allowed_payment_method_types": ["card"],
        "line_items": [{"price_data": product, "quantity": 1}],
        "metadata": named,
        "payment_intent_data": {"metadata": named},
        "success_url": wanted.success_url,
        "cancel_url": wanted.cancel_url,
        "expires_at": int(ordered.reserved_until.timestamp()),
    }
