"""A one-off payment moves on: what Stripe's payment intent says is written down, once and never backwards."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from database import transaction
from database.jobs.declare import enqueue_job
from metering.purchase import GIVE_MONEY_BACK, KnownRefund, Purchase
from payments.billing.counts import count
from payments.inbox.inbox import Applied, EventState
from payments.models import Payment
from payments.purchases.page_id import has_page, is_page
from payments.purchases.status import OF_STRIPE, OPEN, TRANSITIONS, WAITING, PaymentStatus
from payments.stripe.objects import StripeIntent
from payments.stripe.rules import StripeRules
from payments.subscriptions.record import fetch_version
from payments.subscriptions.status import Provider

DISPUTED = frozenset({"needs_response", "under_review", "appeal_needs_response", "appeal_under_review", "lost"})
"""The bank has the money. An inquiry (`warning_…`) only asks."""
LOST = "lost"
"""The bank keeps it."""


@dataclass(frozen=True)
class FetchedIntent:
    """What Stripe says of one payment. `lost`: a dispute over it."""

    version: int
    intent: StripeIntent
    refunds: Sequence[KnownRefund]
    disputed: bool
    lost: bool

    @property
    def refunded(self) -> int:
        """What went back to the buyer or is on its way there, in minor units. What came back to us does not count."""
        return sum(each.amount for each in self.refunds if not each.failed)


def fetch_intent(rules: StripeRules, intent_id: str, *, refunds: bool = False) -> FetchedIntent:
    """`refunds`: also when none is left that did not fail. Raises StripeObjectMissing."""
    return fetched_by(rules, lambda: rules.handler.intent(intent_id), refunds=refunds)


def fetched_by(rules: StripeRules, ask: Callable[[], StripeIntent], *, refunds: bool = False) -> FetchedIntent:
    """An intent that was paid stays `succeeded`, so its charge has to say whether the money is still ours."""
    version = fetch_version()
    intent = ask()
    charge = intent.charge
    listed = rules.handler.refunds_of(intent.id) if charge is not None and (charge.amount_refunded or refunds) else ()
    disputes = rules.handler.dispute_statuses(intent.id) if charge is not None and charge.disputed else set()
    known = [KnownRefund(each.id, each.key, each.amount, each.failed) for each in listed]
    return FetchedIntent(version, intent, known, disputed=bool(DISPUTED & disputes), lost=LOST in disputes)


def follow_intent(rules: StripeRules, session: Session, now: datetime, fetched: FetchedIntent) -> Applied:
    """Write it down."""
    intent = fetched.intent
    row = payment_of(session, intent)
    if row is None:
        return Applied(EventState.IGNORED, note="not a payment of ours")
    if fetched.version < row.source_version:
        return Applied(note="older than what is known")
    due = status_of(row, fetched)
    row.source_version, row.updated_at = fetched.version, now
    if not is_page(row.external_id) or due not in WAITING:
        row.external_id = intent.id  # of a page, once it has done its work: until then it takes another card
    row.refunded_amount = min(fetched.refunded, row.amount)
    move(rules, session, row, due, now)
    if row.status == PaymentStatus.DISPUTED and fetched.lost and row.fulfilled_at is not None:
        rules.purchases_of(row.purchase_kind).given_back(session, purchase_of(row), now)
    if fetched.refunds:
        rules.purchases_of(row.purchase_kind).refunded(session, purchase_of(row), fetched.refunds, now)
    return Applied()


def follow_intent_now(rules: StripeRules, fetched: FetchedIntent) -> None:
    """The same in a transaction of its own, for whoever has just asked."""
    with transaction() as session:
        follow_intent(rules, session, rules.billing.clock(), fetched)


def payment_of(session: Session, intent: StripeIntent) -> Payment | None:
    """Locked. By the intent's id; or by what we wrote into it, when its id could not be kept at that time."""
    known = Payment.external_id == intent.id
    with suppress(ValueError):
        known |= (Payment.id == UUID(intent.payment_id or "")) & or_(Payment.external_id.is_(None), has_page())
    query = select(Payment).where(Payment.provider == Provider.STRIPE, known)
    return session.scalars(query.with_for_update().execution_options(populate_existing=True)).first()


def status_of(row: Payment, fetched: FetchedIntent) -> PaymentStatus:
    """Goods are handed over for the money that was asked for, to the person it was asked from, or a person looks at it."""
    intent = fetched.intent
    status = OF_STRIPE.get(intent.status, PaymentStatus.PROCESSING)
    if status is not PaymentStatus.SUCCEEDED:
        return status
    if 0 < intent.amount_received <= fetched.refunded:
        return PaymentStatus.REFUNDED
    if fetched.disputed:
        return PaymentStatus.DISPUTED
    paid = (intent.amount_received, intent.currency, intent.payment_id)
    return status if paid == (row.amount, row.currency, str(row.id)) else PaymentStatus.HELD


def move(rules: StripeRules, session: Session, row: Payment, due: PaymentStatus, now: datetime) -> None:
    before = PaymentStatus(row.status)
    if before is PaymentStatus.REFUNDED and due is PaymentStatus.SUCCEEDED and row.fulfilled_at is None:
        due = PaymentStatus.HELD  # the refund failed, and nothing is set aside for this payment any more
    if due is before or due not in TRANSITIONS[before]:
        return
    purchases, purchase = rules.purchases_of(row.purchase_kind), purchase_of(row)
    if due is PaymentStatus.SUCCEEDED and before is PaymentStatus.CANCELED and not purchases.reserve(session, purchase):
        # Paid at the very moment at which it was given up, and somebody else has the last one.
        enqueue_job(session, GIVE_MONEY_BACK, payment_id=str(row.id))
        count(session, "stripe_paid_without_stock", now)
        return
    if due in {PaymentStatus.CANCELED, PaymentStatus.REFUNDED} and before in OPEN:
        purchases.release(session, purchase)
    if row.fulfilled_at is None and due is PaymentStatus.SUCCEEDED:
        row.fulfilled_at = now
        purchases.paid(session, purchase, now)
    elif row.fulfilled_at is not None and due is PaymentStatus.REFUNDED:
        purchases.given_back(session, purchase, now)
    elif row.fulfilled_at is not None and (before is PaymentStatus.REFUNDED or due is PaymentStatus.SUCCEEDED):
        purchases.paid(session, purchase, now)  # the refund failed, or a dispute that seemed lost was won
    row.status = due
    session.flush()
    if due is PaymentStatus.HELD and before is not PaymentStatus.REFUNDED:
        count(session, "stripe_payment_differs_from_order", now)


def purchase_of(row: Payment) -> Purchase:
    return Purchase(row.purchase_kind, row.purchase_id, row.quantity, row.id)


def give_up(rules: StripeRules, payment_id: UUID, intent_id: str | None) -> int:
    """Nobody can pay it any more: Stripe's answer never came back, so nobody holds the secret that is needed, or Stripe
    does not know `intent_id`. Returns 1 when it was still open, with this very intent.
    """
    now = rules.billing.clock()
    with transaction() as session:
        row = session.scalars(select(Payment).where(Payment.id == payment_id).with_for_update()).one()
        if row.external_id != intent_id or row.status not in OPEN:
            return 0
        row.updated_at = now
        move(rules, session, row, PaymentStatus.CANCELED, now)
        if intent_id is not None and not is_page(intent_id):
            count(session, "stripe_missing", now)
        return 1
