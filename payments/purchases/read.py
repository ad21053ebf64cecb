"""What became of an own payment: of a checkout, or of something that is sold once."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select, update

from auth.tiers import Tier
from database import reading, transaction
from payments.models import CHECKOUT, CheckoutIntent, Payment
from payments.product_table import BillingCycle
from payments.purchases.bodies import PaymentAnswer, PaymentKind
from payments.purchases.create import order_id_of
from payments.purchases.follow_intent import purchase_of
from payments.purchases.items import item_code
from payments.purchases.release import follow_payment
from payments.purchases.status import OPEN
from payments.stripe.problems import StripeObjectMissing, StripeUnavailable
from payments.stripe.refresh import refresh
from payments.stripe.rules import StripeRules
from payments.stripe.start_checkout import OVER, mark_checkout
from security.edge.problems import NotFound

ASKED_EVERY = timedelta(seconds=2)


def read_payment(rules: StripeRules, user_id: UUID, payment_id: UUID) -> PaymentAnswer:
    """What is still open is asked for at Stripe first, so the page that a buyer comes back to needs no webhook. Not more
    often than every two seconds: whoever asks in a loop must not use up what Stripe answers us.

    Another user's is as if it did not exist. Raises NotFound.
    """
    known = own_payment(user_id, payment_id)
    if known is None:
        raise NotFound
    kept, external_id = known
    if external_id is None or kept.status not in {"open", *OPEN} or not may_ask(kept, rules.billing.clock()):
        return kept
    try:
        if kept.kind is PaymentKind.CHECKOUT:
            follow_checkout(rules, payment_id, external_id)
        else:
            follow_payment(rules, payment_id, external_id)
    except StripeUnavailable:
        return kept  # what is known is better than nothing
    again = own_payment(user_id, payment_id)
    return kept if again is None else again[0]


def may_ask(payment: PaymentAnswer, now: datetime) -> bool:
    """One statement decides: of many that ask at once, one goes to Stripe."""
    table = CheckoutIntent if payment.kind is PaymentKind.CHECKOUT else Payment
    with transaction() as session:
        claimed = session.execute(
            update(table)
            .where(table.id == payment.id, or_(table.asked_at.is_(None), table.asked_at <= now - ASKED_EVERY))
            .values(asked_at=now)
            .returning(table.id)
        )
        return claimed.first() is not None


def follow_checkout(rules: StripeRules, checkout_id: UUID, session_id: str) -> None:
    """One that Stripe does not know is over."""
    try:
        session = rules.handler.checkout_session(session_id)
    except StripeObjectMissing:
        mark_checkout(rules, checkout_id, "failed")
        return
    if session.subscription_id is not None:
        refresh(rules, session.subscription_id, f"checkout:{checkout_id}")
    if session.status in OVER:
        mark_checkout(rules, checkout_id, OVER[session.status], session_id)


def own_payment(user_id: UUID, payment_id: UUID) -> tuple[PaymentAnswer, str | None] | None:
    """And its id at Stripe."""
    with reading() as session:
        checkout = session.scalars(
            select(CheckoutIntent).where(
                CheckoutIntent.id == payment_id, CheckoutIntent.user_id == user_id, CheckoutIntent.kind == CHECKOUT
            )
        ).one_or_none()
        if checkout is not None:
            shown = PaymentAnswer(
                id=checkout.id,
                kind=PaymentKind.CHECKOUT,
                status=checkout.state,
                tier=None if checkout.tier is None else Tier(checkout.tier),
                billing_cycle=None if checkout.billing_cycle is None else BillingCycle(checkout.billing_cycle),
                item=None,
                order_id=None,
                quantity=None,
                amount=None,
                currency=None,
                refunded_amount=None,
            )
            return shown, checkout.external_id
        payment = session.scalars(
            select(Payment).where(Payment.id == payment_id, Payment.user_id == user_id)
        ).one_or_none()
        if payment is None:
            return None
        shown = PaymentAnswer(
            id=payment.id,
            kind=PaymentKind.ONE_OFF,
            status=payment.status,
            tier=None,
            billing_cycle=None,
            item=item_code(session, purchase_of(payment)),
            order_id=order_id_of(payment),
            quantity=payment.quantity,
            amount=payment.amount,
            currency=payment.currency,
            refunded_amount=payment.refunded_amount,
        )
        return shown, payment.external_id
