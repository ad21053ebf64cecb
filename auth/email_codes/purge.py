"""A job: delete one-time codes that ran out."""

from datetime import timedelta

from sqlalchemy import select

from auth.email_codes.models import OneTimeCode
from database.base import Clock
from database.batch import purge

KEEP = timedelta(days=1)


def purge_one_time_codes(clock: Clock) -> int:
    """Returns how many were deleted."""
    over = OneTimeCode.link_expires_at < clock() - KEEP
    return purge("purge_one_time_codes", select(OneTimeCode.id).where(over))
