"""What metering holds about a user: the log of calls, what was counted, and stored answers.

It knows no word of what the user asked, so neither does the export; stored answers are in it, while they are kept.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from auth.account_export import rows_of
from auth.personal_data import PersonalData
from metering.models import IdempotencyKey, RequestLog, UsageCounter, UsageGate, UsageReservation

LONGEST_LOG = 50_000
PORTION = 2_000

LOG = (
    RequestLog.id,
    RequestLog.created_at,
    RequestLog.feature,
    RequestLog.tier,
    RequestLog.success,
    RequestLog.status,
    RequestLog.error_code,
    RequestLog.response_time_ms,
    RequestLog.window_date,
    RequestLog.request_data_hash,
)
USAGE = (UsageCounter.feature, UsageCounter.unit, UsageCounter.window, UsageCounter.used)
ANSWERS = (IdempotencyKey.route, IdempotencyKey.request_id, IdempotencyKey.created_at, IdempotencyKey.answer)
ALL_TABLES = (RequestLog, IdempotencyKey, UsageReservation, UsageCounter, UsageGate)


def export_calls(session: Session, user_id: UUID) -> dict[str, Any]:
    """The newest calls first; `log_is_complete` says whether all of them are there."""
    log = select(*LOG).where(RequestLog.user_id == user_id)
    calls = rows_of(session, log.order_by(RequestLog.created_at.desc()).limit(LONGEST_LOG + 1))
    usage = select(*USAGE).where(UsageCounter.user_id == user_id).order_by(UsageCounter.window, UsageCounter.feature)
    kept = select(*ANSWERS).where(IdempotencyKey.user_id == user_id).order_by(IdempotencyKey.created_at)
    return {
        "calls": calls[:LONGEST_LOG],
        "log_is_complete": len(calls) <= LONGEST_LOG,
        "usage": rows_of(session, usage),
        "stored_answers": rows_of(session, kept),
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


METERING_DATA = PersonalData("gateway", export_calls, erase=erase_calls)
