"""What ends when an account is closed, and what is let go when it is deleted."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import CursorResult, delete, or_, select, update
from sqlalchemy.orm import Session

from database.jobs.declare import JobName, Urgency, enqueue_job
from payments.models import CHECKOUT, BillingCustomer, CheckoutIntent, Subscription
from payments.subscriptions.status import ENDED, Provider

CANCEL_AT_STRIPE = JobName("cancel_at_stripe", Urgency.PAYMENTS)
STOP_RENEWING = JobName("stop_renewing_at_stripe", Urgency.PAYMENTS)
CLOSE_CHECKOUT = JobName("close_checkout_page", Urgency.PAYMENTS)


def end_subscriptions(session: Session, user_id: UUID, _now: datetime) -> Sequence[str]:
    """Nothing more is charged or sold, and the providers are named whom the user still pays and only the user can stop.

    In the transaction that closes the account. Subscriptions keep their owner, who may have the account back for a while:
    what was paid for at Stripe runs to the end of its period, and then ends.
    """
    rows = _running(session, user_id)
    for row in rows:
        if row.stripe_subscription_id is not None:
            enqueue_job(session, STOP_RENEWING, subscription_id=row.stripe_subscription_id)
    for checkout_id in session.scalars(
        select(CheckoutIntent.id).where(
            CheckoutIntent.user_id == user_id, CheckoutIntent.kind == CHECKOUT, CheckoutIntent.state == "open"
        )
    ):
        enqueue_job(session, CLOSE_CHECKOUT, checkout_id=str(checkout_id))
    apple = any(row.provider == Provider.APPLE and row.cancel_at is None for row in rows)
    return (Provider.APPLE.value,) if apple else ()


def let_go_of_subscriptions(session: Session, user_id: UUID) -> int:
    """Before the user's row is deleted. Says how many rows that were; 0 when there is nothing left.

    The rows stay without an owner and can never be claimed again, so a receipt cannot be carried to a new account, and
    what the providers still send about them changes nobody. What still runs at Stripe is cancelled at once. Of requests to
    Stripe the text goes, which names the user, but for a page that is still to be closed.
    """
    for row in _running(session, user_id):
        if row.stripe_subscription_id is not None:
            enqueue_job(session, CANCEL_AT_STRIPE, subscription_id=row.stripe_subscription_id)
    manual = delete(Subscription).where(Subscription.user_id == user_id, Subscription.provider == Provider.MANUAL)
    count = _count(session.execute(manual))
    text_goes = or_(CheckoutIntent.kind != CHECKOUT, CheckoutIntent.state != "open")
    requests = update(CheckoutIntent).where(CheckoutIntent.user_id == user_id, CheckoutIntent.parameters.is_not(None))
    count += _count(session.execute(requests.where(text_goes).values(parameters=None)))
    for table in (Subscription, BillingCustomer):
        count += _count(session.execute(update(table).where(table.user_id == user_id).values(user_id=None)))
    session.expire_all()
    return count


def _running(session: Session, user_id: UUID) -> Sequence[Subscription]:
    query = select(Subscription).where(Subscription.user_id == user_id, Subscription.status.not_in(ENDED))
    return session.scalars(query).all()


def _count(result: object) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
