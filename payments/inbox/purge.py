"""A job: delete provider events that were dealt with long ago. What came of them stands in the ledger."""

from datetime import datetime, timedelta

from sqlalchemy import select

from database.batch import purge
from payments.models import BillingEvent

KEEP = timedelta(days=180)
"""As long as Apple keeps its own history: a notification that is listed there is still known for a repetition here."""


def forget_billing_events(now: datetime) -> int:
    """Dead events wait for a person. Returns how many were deleted."""
    over = select(BillingEvent.id).where(
        BillingEvent.state.in_(("done", "ignored")), BillingEvent.settled_at < now - KEEP
    )
    return purge("forget_billing_events", over.order_by(BillingEvent.id))
