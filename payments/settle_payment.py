"""A one-off payment moves on: what Stripe's payment intent says is written down, once and never backwards."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from database import transaction
from payments.billing_counts import count
from payments.event_inbox import Applied, Effect, EventState
from payments.models import Item, Payment
from payments.payment_status import OF_STRIPE, OPEN, TRANSITIONS, PaymentStatus
from payments.refresh_stripe_subscription import fetch_version
from payments.stripe_objects import StripeCharge, StripeIntent
from payments.stripe_rules import StripeRules
from payments.subscription_status import Provider

GIVE_MONEY_BACK = "give_money_back"
DISPUTED = frozenset({"needs_response", "under_review", "lost"})


@dataclass(frozen=True)
class FetchedIntent:
    version: int
    intent: StripeIntent


def fetch_intent(intent_id: str, rules: StripeRules) -> FetchedIntent:
    """Raises StripeObjectMissing."""
    version = fetch_version()
    return FetchedIntent(version, rules.handler.intent(intent_id))


def settle_now(rules: StripeRules, fetched: FetchedIntent) -> None:
    with transaction() as session:
        settle_intent(rules, fetched)(session, rules.billing.clock())


def settle_intent(rules: StripeRules, fetched: FetchedIntent, *, dispute: str | None = None) -> Effect:
    """`dispute`: the status of a dispute over this payment."""

    def effect(session: Session, now: datetime) -> Applied:
        intent = fetched.intent
        row = payment_of(session, intent)
        if row is None:
            return Applied(EventState.IGNORED, note="not a payment of ours")
        if fetched.version < row.source_version:
            return Applied(note="older than what is known")
        row.source_version, row.external_id, row.updated_at = fetched.version, intent.id, now
        due = status_of(row, intent, dispute)
        move(rules, session, row, due, now)
        return Applied()

    return effect


def payment_of(session: Session, intent: StripeIntent) -> Payment | None:
    """Locked. By the intent's id; or by what we wrote into it, when its id could not be kept at that time."""
    known = Payment.external_id == intent.id
    try:
        named = (Payment.id == UUID(intent.metadata["payment_id"])) & Payment.external_id.is_(None)
        known = known | named
    except (KeyError, ValueError):
        pass
    query = select(Payment).where(Payment.provider == Provider.STRIPE, known)
    return session.scalars(query.with_for_update().execution_options(populate_existing=True)).first()


def status_of(row: Payment, intent: StripeIntent, dispute: str | None) -> PaymentStatus:
    """Goods are handed over for the money that was asked for, to the person it was asked from, or a person looks at it."""
    status = OF_STRIPE.get(intent.status, PaymentStatus.PROCESSING)
    if status is not PaymentStatus.SUCCEEDED:
        return status
    paid = (intent.amount_received, intent.currency, intent.metadata.get("payment_id"))
    if paid != (row.amount, row.currency, str(row.id)):
        return PaymentStatus.HELD
    return PaymentStatus.DISPUTED if dispute in DISPUTED else status


def move(rules: StripeRules, session: Session, row: Payment, due: PaymentStatus, now: datetime) -> None:
    before = PaymentStatus(row.status)
    if due is before or due not in TRANSITIONS[before]:
        return
    if due is PaymentStatus.SUCCEEDED and before is PaymentStatus.CANCELED and not reserve(session, row):
        # Paid at the very moment at which it was given up, and somebody else has the last one.
        rules.enqueue(session, GIVE_MONEY_BACK, payment_id=str(row.id))
        count(session, "stripe_paid_without_stock", now)
        return
    if due is PaymentStatus.CANCELED and before in OPEN:
        release(session, row)
    if due is PaymentStatus.SUCCEEDED and row.fulfilled_at is None:
        row.fulfilled_at = now
    row.status = due
    session.flush()
    if due is PaymentStatus.HELD:
        count(session, "stripe_payment_differs_from_order", now)


def settle_refund(rules: StripeRules, charge: StripeCharge) -> Effect:
    def effect(session: Session, now: datetime) -> Applied:
        row = session.scalars(
            select(Payment)
            .where(Payment.provider == Provider.STRIPE, Payment.external_id == charge.intent_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).one_or_none()
        if row is None:
            return Applied(EventState.IGNORED, note="not a payment of ours")
        row.refunded_amount = max(row.refunded_amount, min(charge.amount_refunded, row.amount))
        row.updated_at = now
        if charge.fully_refunded:
            move(rules, session, row, PaymentStatus.REFUNDED, now)
        return Applied()

    return effect


def reserve(session: Session, row: Payment) -> bool:
    return take_stock(session, row.item_id, row.quantity)


def take_stock(session: Session, item_id: UUID, quantity: int) -> bool:
    """One statement decides: of two buyers of the last one, the second finds none."""
    taken = session.execute(
        update(Item)
        .where(Item.id == item_id, (Item.stock.is_(None)) | (Item.stock >= quantity))
        .values(stock=Item.stock - quantity)
        .returning(Item.id)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


def release(session: Session, row: Payment) -> None:
    session.execute(
        update(Item)
        .where(Item.id == row.item_id, Item.stock.is_not(None))
        .values(stock=Item.stock + row.quantity)
        .execution_options(synchronize_session=False)
    )
