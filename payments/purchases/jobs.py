"""Work on one-off payments that waits for nobody: gives money back, and lets go of what was set aside for too long."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from database import reading, transaction
from database.batch import work_through
from database.jobs.declare import Job, JobName, Urgency
from metering.purchase import GIVE_MONEY_BACK
from payments.billing.counts import count
from payments.models import Payment
from payments.purchases.release import release
from payments.purchases.status import OPEN
from payments.stripe.problems import NOTHING_CAN_BE_ASKED, StripeObjectMissing
from payments.stripe.rules import StripeRules


def purchase_jobs(rules: StripeRules) -> tuple[Job, ...]:
    """Each may be repeated: what was given back or released already stays so."""
    return (
        Job(GIVE_MONEY_BACK, lambda payment_id: give_money_back(rules, UUID(payment_id))),
        Job(JobName("release_reservations", Urgency.PAYMENTS), lambda: release_reservations(rules), cron="* * * * *"),
    )


def give_money_back(rules: StripeRules, payment_id: UUID) -> None:
    with reading() as session:
        intent_id = session.execute(select(Payment.external_id).where(Payment.id == payment_id)).scalar_one_or_none()
    if intent_id is None:
        return
    try:
        rules.handler.refund(intent_id, f"refund:{payment_id}")
    except StripeObjectMissing:
        with transaction() as session:
            count(session, "stripe_missing", rules.billing.clock())


def release_reservations(rules: StripeRules) -> int:
    """Payments whose time is over. Each has its own fate: what goes wrong with one keeps nobody else's stock."""
    due = due_reservations(rules.billing.clock())
    return work_through(
        "release_reservations",
        due,
        lambda each: release(rules, *each),
        key=lambda each: each[0],
        unless=NOTHING_CAN_BE_ASKED,
    )


def due_reservations(now: datetime) -> list[tuple[UUID, str | None]]:
    """All of them: with a limit, as many that fail would keep everybody behind them waiting."""
    query = (
        select(Payment.id, Payment.external_id)
        .where(Payment.status.in_(OPEN), Payment.reserved_until <= now)
        .order_by(Payment.reserved_until)
    )
    with reading() as session:
        return [(row.id, row.external_id) for row in session.execute(query)]
