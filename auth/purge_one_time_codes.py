"""A job: delete one-time codes that ran out."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

KEEP = timedelta(days=1)

PURGE = text("""
    DELETE FROM one_time_codes WHERE id IN (
        SELECT id FROM one_time_codes WHERE link_expires_at < :before LIMIT 5000
    )
""")


def purge_one_time_codes(session: Session, now: datetime) -> int:
    """Returns how many were deleted."""
    deleted: int = session.execute(PURGE, {"before": now - KEEP}).rowcount  # type: ignore[attr-defined]
    return deleted
