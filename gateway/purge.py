"""What the gateway keeps, and for how long. Jobs, each in portions, so that no statement comes near its time limit."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Select, func, select

from database.batch import purge
from gateway.limit_models import UsageCounter, UsageReservation
from gateway.models import PredictionRequest

KEEP_REQUESTS = timedelta(days=90)
KEEP_COUNTERS_DAYS = 761
"""25 months, so that a month can be compared with the same one two years before."""
SWEEP_AFTER = timedelta(seconds=60)
PORTION = 5_000
MOST_PORTIONS = 200


def purge_prediction_requests() -> int:
    """Delete the log of calls that are older than 90 days. Returns how many rows."""
    old = PredictionRequest.created_at < func.now() - KEEP_REQUESTS
    return _purge("prediction_requests", select(PredictionRequest.id).where(old))


def purge_usage_counters() -> int:
    """Delete the counts of days that are more than 25 months ago. Returns how many rows."""
    old = UsageCounter.day < func.current_date() - KEEP_COUNTERS_DAYS
    return _purge("usage_counters", select(UsageCounter.user_id, UsageCounter.feature, UsageCounter.day).where(old))


def sweep_reservations() -> int:
    """Delete reservations whose lease is long over; they stopped counting when it ended. Returns how many there were.

    By PostgreSQL's clock, which gave the lease: a worker's may be ahead.
    """
    over = UsageReservation.lease_until < func.now() - SWEEP_AFTER
    return _purge("usage_reservations", select(UsageReservation.request_id).where(over))


def _purge(batch: str, over: Select[*tuple[Any, ...]]) -> int:
    purged = 0
    for _ in range(MOST_PORTIONS):
        portion = purge(batch, over.limit(PORTION))
        purged += portion
        if portion < PORTION:
            break
    return purged
