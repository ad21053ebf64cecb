"""A job: delete provider events that were settled long ago. What came of them stands in the ledger."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

KEEP = timedelta(days=180)
"""As long as Apple keeps its own history: a notification that is listed there is still known for a repetition here."""

# In portions, so that one run stays far below the statement timeout. Dead events wait for a person.
FORGET = text("""
    DELETE FROM billing_events WHERE id IN (
        SELECT id FROM billing_events WHERE state IN ('done', 'ignored') AND settled_at < :before
        ORDER BY id LIMIT 5000
    )
""")


def forget_billing_events(session: Session, now: datetime) -> int:
    """Returns how many were deleted."""
    deleted: int = session.execute(FORGET, {"before": now - KEEP}).rowcount  # type: ignore[attr-defined]
    return deleted
