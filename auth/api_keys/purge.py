"""A job: delete API keys that ended long ago. Until then their owner still sees them."""

from datetime import timedelta

from sqlalchemy import func, select

from auth.models import ApiKey
from database.base import Clock
from database.batch import purge

KEEP = timedelta(days=30)


def purge_api_keys(clock: Clock) -> int:
    """Returns how many were deleted."""
    over = func.least(ApiKey.expires_at, ApiKey.revoked_at) < clock() - KEEP
    return purge("purge_api_keys", select(ApiKey.id).where(over))
