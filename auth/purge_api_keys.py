"""A job: delete API keys that ended long ago. Until then their owner still sees them."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

KEEP = timedelta(days=30)

# In portions, so that one run stays far below the statement timeout; the next one takes the rest.
PURGE = text("""
    DELETE FROM api_keys WHERE id IN (
        SELECT id FROM api_keys WHERE least(expires_at, revoked_at) < :before LIMIT 5000
    )
""")


def purge_api_keys(session: Session, now: datetime) -> int:
    """Returns how many were deleted."""
    deleted: int = session.execute(PURGE, {"before": now - KEEP}).rowcount  # type: ignore[attr-defined]
    return deleted
