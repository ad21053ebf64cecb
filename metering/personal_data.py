"""What metering holds about a user: the log of calls, what was counted, and stored answers.

It knows no word of what the user asked, so neither does the export; stored answers are in it, while they are kept.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from auth.personal_data import PersonalData, rows_of
from metering.models import Charge, IdempotencyKey, RequestLog, UsageCounter, UsageGate, UsageReservation

LONGEST_LOG = 50_000
PORTION = 2_000

LOG = (
    RequestLog.id,
    RequestLog.created_at,
    RequestLog.api_key_id,
    RequestLog.feature,
    RequestLog.tier,
    RequestLog.success,
    RequestLog.outcome,
    RequestLog.status,
    RequestLog.error_code,
    RequestLog.response_time_ms,
    RequestLog.upstream_ms,
    RequestLog.window_date,
    RequestLog.request_data_hash,
    RequestLog.provider,
    RequestLog.model,
    RequestLog.units,
    RequestLog.price_micros,
    RequestLog.cost_micros,
)
USAGE = (UsageCounter.feature, UsageCounter.unit, UsageCounter.window, UsageCounter.used, UsageCounter.allowed)
CHARGES = (
    Charge.request_id,
    Charge.feature,
    Charge.units,
    Charge.price_micros,
    Charge.cost_micros,
    Charge.created_at,
)
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
    UsageReservation.unit,
    UsageReservation.window,
    UsageReservation.amount,
    UsageReservation.lease_until,
    UsageReservation.created_at,
)
BURSTS = (UsageGate.feature, UsageGate.burst_tat)
ERASED = (RequestLog, IdempotencyKey, UsageReservation, UsageCounter, UsageGate)
"""Charges stay, as what was paid does: they name nobody once the user has gone."""


def export_calls(session: Session, user_id: UUID) -> dict[str, Any]:
    """The newest calls first; `log_is_complete` says whether all of them are there."""
    log = select(*LOG).where(RequestLog.user_id == user_id)
    calls = rows_of(session, log.order_by(RequestLog.created_at.desc()).limit(LONGEST_LOG + 1))
    usage = select(*USAGE).where(UsageCounter.user_id == user_id).order_by(UsageCounter.window, UsageCounter.feature)
    kept = select(*ANSWERS).where(IdempotencyKey.user_id == user_id).order_by(IdempotencyKey.created_at)
    in_flight = select(*IN_FLIGHT).where(UsageReservation.user_id == user_id).order_by(UsageReservation.created_at)
    charges = select(*CHARGES).where(Charge.user_id == user_id).order_by(Charge.created_at)
    bursts = select(*BURSTS).where(UsageGate.user_id == user_id).order_by(UsageGate.feature)
    return {
        "calls": calls[:LONGEST_LOG],
        "log_is_complete": len(calls) <= LONGEST_LOG,
        "usage": rows_of(session, usage),
        "charges": rows_of(session, charges),
        "stored_answers": rows_of(session, kept),
        "calls_in_flight": rows_of(session, in_flight),
        "bursts": rows_of(session, bursts),
    }


def erase_calls(session: Session, user_id: UUID) -> int:
    """One portion of the first table that still holds something."""
    for table in ERASED:
        key = tuple_(*table.__table__.primary_key)
        some = select(*table.__table__.primary_key).where(table.user_id == user_id).limit(PORTION)
        query = delete(table).where(key.in_(some)).execution_options(synchronize_session=False)
        erased: int = session.execute(query).rowcount  # type: ignore[attr-defined]
        if erased:
            return erased
    return 0


METERING_DATA = PersonalData("gateway", export_calls, erase=erase_calls)
