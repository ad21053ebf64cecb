"""What the gateway keeps, and for how long. Jobs, each in portions, so that no statement comes near its time limit."""

from datetime import timedelta

from sqlalchemy import func, select

from database.batch import purge
from gateway.idempotency import KEPT_FOR as KEEP_IDEMPOTENCY_KEYS
from gateway.limit_models import UsageCounter, UsageFailures, UsageReservation
from gateway.models import IdempotencyKey, PredictionRequest

KEEP_REQUESTS = timedelta(days=90)
KEEP_COUNTERS_DAYS = 761
"""25 months, so that a month can be compared with the same one two years before."""
KEEP_FAILURES = timedelta(days=2)
SWEEP_AFTER = timedelta(seconds=60)


def purge_prediction_requests() -> int:
    """Delete the log of calls that are older than 90 days. Returns how many rows."""
    old = PredictionRequest.created_at < func.now() - KEEP_REQUESTS
    return purge("prediction_requests", select(PredictionRequest.id).where(old))


def purge_usage_counters() -> int:
    """Delete the counts of days that are more than 25 months ago. Returns how many rows."""
    old = UsageCounter.day < func.current_date() - KEEP_COUNTERS_DAYS
    return purge("usage_counters", select(UsageCounter.user_id, UsageCounter.feature, UsageCounter.day).where(old))


def purge_usage_failures() -> int:
    """Delete the counts of failures of hours that are more than two days ago. Returns how many rows."""
    oldest = func.to_char(func.timezone("UTC", func.now() - KEEP_FAILURES), 'YYYY-MM-DD"T"HH24')
    key = (UsageFailures.user_id, UsageFailures.feature, UsageFailures.hour)
    return purge("usage_failures", select(*key).where(UsageFailures.hour < oldest))


def purge_idempotency_keys() -> int:
    """Delete the keys that are older than a day, with their answers. Returns how many."""
    old = IdempotencyKey.created_at < func.now() - KEEP_IDEMPOTENCY_KEYS
    key = (IdempotencyKey.user_id, IdempotencyKey.route, IdempotencyKey.key_sha256)
    return purge("idempotency_keys", select(*key).where(old))


def sweep_reservations() -> int:
    """Delete reservations whose lease is long over; they stopped counting when it ended. Returns how many there were.

    By PostgreSQL's clock, which gave the lease: a worker's may be ahead.
    """
    over = UsageReservation.lease_until < func.now() - SWEEP_AFTER
    return purge("usage_reservations", select(UsageReservation.request_id).where(over))
