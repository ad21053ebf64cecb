"""A job: delete security events that are older than they are kept."""

from datetime import timedelta

from sqlalchemy import select

from auth.audit.models import SecurityEvent
from database.base import Clock
from database.batch import purge

KEEP = timedelta(days=400)


def purge_events(clock: Clock) -> int:
    """Returns how many were deleted."""
    over = SecurityEvent.occurred_at < clock() - KEEP
    return purge("purge_events", select(SecurityEvent.id).where(over).order_by(SecurityEvent.occurred_at))
