"""What becomes of what is to be paid when an account is closed, and of what it says of a person when the account is deleted."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from database.jobs.declare import JobName, Urgency, enqueue_job
from metering.models import Charge
from payments.billing.months import month_of
from payments.models import BillingCredit

CLOSE_BILLING_PERIOD = JobName("close_billing_period", Urgency.PAYMENTS)


def bill_last_period(session: Session, user_id: UUID, now: datetime) -> Sequence[str]:
    """The month is closed at once, by a job, for calls may still be running. If the account is restored, what comes after that
    stands in the next statement.
    """
    waiting = select(Charge.request_id).where(Charge.user_id == user_id, Charge.statement_id.is_(None)).limit(1)
    if session.execute(waiting).first() is not None:
        enqueue_job(session, CLOSE_BILLING_PERIOD, user_id=str(user_id), month=month_of(now))
    return ()


def forget_reasons(session: Session, user_id: UUID) -> int:
    """Statements, charges and credits stay, as what was paid does, with an id that says nothing any more. Why a credit was given
    is a person's words. Says how many rows that were.
    """
    forgotten = session.execute(
        update(BillingCredit)
        .where(BillingCredit.user_id == user_id, BillingCredit.reason.is_not(None))
        .values(reason=None)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(forgotten, CursorResult)
    return forgotten.rowcount
