"""What the gateway keeps, and for how long. Jobs, each in portions, so that no statement comes near its time limit."""

from datetime import timedelta

from sqlalchemy import func, select

from database.batch import purge_all
from gateway.limit_models import UsageCounter, UsageReservation
from gateway.models import PredictionRequest

KEEP_REQUESTS = timedelta(days=90)
KEEP_COUNTERS_DAYS = 761
"""25 months, so that a month can be compared with the same one two years before."""
SWEEP_AFTER = timedelta(seconds=60)


def purge_prediction_requests() -> int:
    """Delete the log of calls that are older than 90 days. Returns how many rows."""
    old = PredictionRequest.created_at < func.now() - KEEP_REQUESTS
    return purge_all("prediction_requests", select(PredictionRequest.id).where(old))


def purge_usage_counters() -> int:
    """Delete the counts of days that are more than 25 months ago. Returns how many rows."""
    old = UsageCounter.day < func.current_date() - KEEP_COUNTERS_DAYS
    return purge_all("usage_counters", select(UsageCounter.user_id, UsageCounter.feature, UsageCounter.day).where(old))


def sweep_reservations() -> int:
    """Delete reservations whose lease is long over; they stopped counting when it ended. Returns how many there were.

    By PostgreSQL's clock, which gave the lease: a worker's may be ahead.
    """
    over = UsageReservation.lease_until < func.now() - SWEEP_AFTER
    return purge_all("usage_reservations", select(UsageReservation.request_id).where(over))
