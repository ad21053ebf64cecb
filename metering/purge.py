"""What metering keeps, and for how long. Jobs, each in portions, so that no statement comes near its time limit."""

from datetime import timedelta

from sqlalchemy import ColumnElement, Date, Integer, Text, and_, cast, delete, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.models import User
from database.batch import purge
from metering.idempotency import KEPT_FOR as KEEP_IDEMPOTENCY_KEYS
from metering.limits import CALL, FAILURE
from metering.models import IdempotencyKey, RequestLog, UsageCounter, UsageReservation
from metering.settle import Outcome

KEEP_COUNTERS_DAYS = 761
"""25 months, so that a month can be compared with the same one two years before."""
SWEEP_AFTER = timedelta(seconds=60)


def purge_request_logs(keep_days: int) -> int:
    """Delete the log of calls that are older. Returns how many rows."""
    old = RequestLog.created_at < func.now() - timedelta(days=keep_days)
    return purge("request_logs", select(RequestLog.id).where(old))


def purge_usage_counters() -> int:
    """Delete the counts of windows that are more than 25 months ago, of failures the day after. Returns how many rows.

    The names of windows begin with their day or month, so they sort by time.
    """
    key = (UsageCounter.user_id, UsageCounter.feature, UsageCounter.unit, UsageCounter.window)
    old = or_(
        UsageCounter.window < cast(func.current_date() - KEEP_COUNTERS_DAYS, Text),
        and_(UsageCounter.unit == FAILURE, UsageCounter.window < cast(func.current_date() - 1, Text)),
    )
    return purge("usage_counters", select(*key).where(old))


def purge_idempotency_keys() -> int:
    """Delete the keys that are older than a day, with their answers. Returns how many."""
    old = IdempotencyKey.created_at < func.now() - KEEP_IDEMPOTENCY_KEYS
    key = (IdempotencyKey.user_id, IdempotencyKey.route, IdempotencyKey.key_sha256)
    return purge("idempotency_keys", select(*key).where(old))


def sweep_reservations() -> int:
    """Delete reservations whose lease is long over; they stopped counting when it ended. Returns how many there were.

    Nothing settled or released them, so the process of each was killed in the call, and the log of calls says so. By
    PostgreSQL's clock, which gave the lease: a worker's may be ahead.
    """
    key = (UsageReservation.request_id, UsageReservation.feature, UsageReservation.unit, UsageReservation.window)
    over = UsageReservation.lease_until < func.now() - SWEEP_AFTER
    return purge("usage_reservations", select(*key).where(over), _abandon)


def _abandon(session: Session, ended: ColumnElement[bool]) -> int:
    gone = delete(UsageReservation).where(ended).returning(*UsageReservation.__table__.columns).cte("gone")
    held_ms = func.extract("epoch", gone.c.lease_until - gone.c.created_at) * 1000
    row = {
        RequestLog.id: gone.c.request_id,
        RequestLog.user_id: gone.c.user_id,
        RequestLog.feature: gone.c.feature,
        RequestLog.success: literal(False),
        RequestLog.outcome: literal(Outcome.ABANDONED.value),
        RequestLog.error_code: literal(Outcome.ABANDONED.value),
        RequestLog.response_time_ms: cast(held_ms, Integer),
        RequestLog.upstream_ms: literal(0),
        RequestLog.window_date: cast(func.timezone("UTC", gone.c.created_at), Date),
        RequestLog.created_at: gone.c.lease_until,
    }
    calls = select(*row.values()).join(User, User.id == gone.c.user_id).where(gone.c.unit == CALL)
    noted = insert(RequestLog).from_select(list(row), calls).on_conflict_do_nothing().cte("noted")
    return session.scalars(select(func.count()).select_from(gone).add_cte(noted)).one()
