"""What the gateway holds about a user: the log of calls, what was counted, and stored answers.

It knows no word of what the user asked, so neither does the export; stored answers are in it, while they are kept.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from auth.account_export import rows_of
from auth.personal_data import PersonalData
from gateway.limit_models import UsageCounter, UsageFailures, UsageGate, UsageReservation
from gateway.models import IdempotencyKey, PredictionRequest

LONGEST_LOG = 50_000
PORTION = 2_000

LOG = (
    PredictionRequest.id,
    PredictionRequest.created_at,
    PredictionRequest.feature,
    PredictionRequest.tier,
    PredictionRequest.success,
    PredictionRequest.status,
    PredictionRequest.error_code,
    PredictionRequest.response_time_ms,
    PredictionRequest.upstream_ms,
    PredictionRequest.window_date,
    PredictionRequest.request_data_hash,
)
USAGE = (UsageCounter.feature, UsageCounter.day, UsageCounter.used)
FAILURES = (UsageFailures.feature, UsageFailures.hour, UsageFailures.failed)
ANSWERS = (
    IdempotencyKey.route,
    IdempotencyKey.request_id,
    IdempotencyKey.created_at,
    IdempotencyKey.lease_until,
    IdempotencyKey.answered_at,
    IdempotencyKey.answer,
)
IN_FLIGHT = (
    UsageReservation.request_id,
    UsageReservation.feature,
    UsageReservation.day,
    UsageReservation.lease_until,
    UsageReservation.created_at,
)
BURSTS = (UsageGate.feature, UsageGate.burst_tat)
ALL_TABLES = (PredictionRequest, IdempotencyKey, UsageReservation, UsageCounter, UsageFailures, UsageGate)


def export_calls(session: Session, user_id: UUID) -> dict[str, Any]:
    """The newest calls first; `log_is_complete` says whether all of them are there."""
    log = select(*LOG).where(PredictionRequest.user_id == user_id)
    calls = rows_of(session, log.order_by(PredictionRequest.created_at.desc()).limit(LONGEST_LOG + 1))
    usage = select(*USAGE).where(UsageCounter.user_id == user_id).order_by(UsageCounter.day, UsageCounter.feature)
    failures = select(*FAILURES).where(UsageFailures.user_id == user_id)
    kept = select(*ANSWERS).where(IdempotencyKey.user_id == user_id).order_by(IdempotencyKey.created_at)
    in_flight = select(*IN_FLIGHT).where(UsageReservation.user_id == user_id).order_by(UsageReservation.created_at)
    bursts = select(*BURSTS).where(UsageGate.user_id == user_id).order_by(UsageGate.feature)
    return {
        "calls": calls[:LONGEST_LOG],
        "log_is_complete": len(calls) <= LONGEST_LOG,
        "usage": rows_of(session, usage),
        "failures": rows_of(session, failures.order_by(UsageFailures.hour, UsageFailures.feature)),
        "stored_answers": rows_of(session, kept),
        "calls_in_flight": rows_of(session, in_flight),
        "bursts": rows_of(session, bursts),
    }


def erase_calls(session: Session, user_id: UUID) -> int:
    """One portion of the first table that still holds something."""
    for table in ALL_TABLES:
        key = tuple_(*table.__table__.primary_key)
        some = select(*table.__table__.primary_key).where(table.user_id == user_id).limit(PORTION)
        query = delete(table).where(key.in_(some)).execution_options(synchronize_session=False)
        erased: int = session.execute(query).rowcount  # type: ignore[attr-defined]
        if erased:
            return erased
    return 0


GATEWAY_DATA = PersonalData("gateway", export_calls, erase=erase_calls)
