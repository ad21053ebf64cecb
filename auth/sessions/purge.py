"""A job: delete sessions that ended long ago. Until then they show a reused refresh token for what it is."""

from datetime import timedelta

from sqlalchemy import func, select

from auth.models import AuthSession
from database.base import Clock
from database.batch import purge

KEEP = timedelta(days=30)


def purge_sessions(clock: Clock) -> int:
    """Returns how many were deleted."""
    over = func.least(AuthSession.expires_at, AuthSession.idle_expires_at, AuthSession.revoked_at) < clock() - KEEP
    return purge("purge_sessions", select(AuthSession.id).where(over))
