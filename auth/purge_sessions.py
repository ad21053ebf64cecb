"""A job: delete sessions that ended long ago. Until then they show a reused refresh token for what it is."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

KEEP = timedelta(days=30)

# In portions, so that one run stays far below the statement timeout; the next one takes the rest.
PURGE = text("""
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions
        WHERE least(expires_at, idle_expires_at, revoked_at) < :before
        LIMIT 5000
    )
""")


def purge_sessions(session: Session, now: datetime) -> int:
    """Returns how many were deleted."""
    deleted: int = session.execute(PURGE, {"before": now - KEEP}).rowcount  # type: ignore[attr-defined]
    return deleted
