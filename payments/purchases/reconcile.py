"""Asking Stripe for payments that were begun and that nobody came back from."""

from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import CompoundSelect, select, union_all

from database import reading
from payments.inbox.reconcile import Reconciler, RowByRow
from payments.models import CHECKOUT, CheckoutIntent, Payment
from payments.purchases.read import follow_checkout
from payments.purchases.release import follow_payment
from payments.purchases.status import OPEN
from payments.stripe.problems import NOTHING_CAN_BE_ASKED
from payments.stripe.rules import StripeRules
from payments.stripe.start_checkout import mark_checkout

LEFT_ALONE = timedelta(minutes=10)
"""What was begun a moment ago is still being worked on."""


def open_payments(rules: StripeRules) -> Reconciler:
    """Pages and payments that nobody came back from."""
    return RowByRow(
        "stripe_open_payments",
        lambda: begun(rules),
        partial(follow_begun, rules),
        unless=NOTHING_CAN_BE_ASKED,
        at_once=50,
    )


def begun(rules: StripeRules) -> CompoundSelect[UUID, str, str | None]:
    before = rules.billing.clock() - LEFT_ALONE
    return union_all(
        select(CheckoutIntent.id, CheckoutIntent.kind, CheckoutIntent.external_id).where(
            CheckoutIntent.state == "open", CheckoutIntent.kind == CHECKOUT, CheckoutIntent.created_at < before
        ),
        select(Payment.id, Payment.status, Payment.external_id).where(
            Payment.status.in_(OPEN), Payment.created_at < before
        ),
    )


def follow_begun(rules: StripeRules, row_id: UUID, kind: str, external_id: str | None) -> bool:
    """Whether it turned out to be over."""
    if kind != CHECKOUT and external_id is not None:
        follow_payment(rules, row_id, external_id)
    elif kind == CHECKOUT and external_id is not None:
        follow_checkout(rules, row_id, external_id)
    elif kind == CHECKOUT:
        give_up(rules, row_id)
    with reading() as session:
        state = session.execute(
            select(CheckoutIntent.state).where(CheckoutIntent.id == row_id)
            if kind == CHECKOUT
            else select(Payment.status).where(Payment.id == row_id)
        ).scalar_one()
    return state not in {"open", *OPEN}


def give_up(rules: StripeRules, checkout_id: UUID) -> None:
    """Its page could not be reached by anybody, and would be closed by now."""
    with reading() as session:
        ends = session.execute(select(CheckoutIntent.expires_at).where(CheckoutIntent.id == checkout_id)).scalar_one()
    if ends is not None and ends < rules.billing.clock():
        mark_checkout(rules, checkout_id, "failed")
