"""A job: delete security events that are older than they are kept."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

KEEP = timedelta(days=400)

# In portions, so that one run stays far below the statement timeout; the next one takes the rest.
PURGE = text("""
    DELETE FROM security_events WHERE id IN (
        SELECT id FROM security_events WHERE occurred_at < :before ORDER BY occurred_at LIMIT 10000
    )
""")


def purge_events(session: Session, now: datetime) -> int:
    """Returns how many were deleted."""
    deleted: int = session.execute(PURGE, {"before": now - KEEP}).rowcount  # type: ignore[attr-defined]
    return deleted
