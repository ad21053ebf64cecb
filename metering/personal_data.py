"""What metering holds about a user: the log of calls, what was counted, their budget, and stored answers.

It knows no word of what the user asked, so neither does the export; stored answers are in it, while they are kept.
"""

from collections.abc import Container
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from auth.personal_data import PersonalData, rows_of
from database.base import Base
from metering.models import Charge, IdempotencyKey, RequestLog, UsageCounter, UsageGate, UsageReservation
from metering.usage.models import UsageBudget

LONGEST_LOG = 50_000
PORTION = 2_000

ERASED = (RequestLog, IdempotencyKey, UsageReservation, UsageCounter, UsageGate, UsageBudget)
"""Charges stay, as what was paid does: they name nobody once the user has gone."""


def export_calls(session: Session, user_id: UUID) -> dict[str, Any]:
    """The newest calls first; `log_is_complete` says whether all of them are there."""

    def held(
        table: type[Base], *order: Any, without: Container[str] = (), most: int | None = None
    ) -> list[dict[str, Any]]:
        columns = [each for each in table.__table__.columns if each.name != "user_id" and each.name not in without]
        mine = table.__table__.columns["user_id"] == user_id
        return rows_of(session, select(*columns).where(mine).order_by(*order).limit(most))

    calls = held(RequestLog, RequestLog.created_at.desc(), most=LONGEST_LOG + 1)
    return {
        "calls": calls[:LONGEST_LOG],
        "log_is_complete": len(calls) <= LONGEST_LOG,
        "usage": held(UsageCounter, UsageCounter.window, UsageCounter.feature),
        "budget": held(UsageBudget),
        "charges": held(Charge, Charge.created_at),
        "stored_answers": held(IdempotencyKey, IdempotencyKey.created_at, without=("key_sha256", "fingerprint")),
        "calls_in_flight": held(UsageReservation, UsageReservation.created_at),
        "bursts": held(UsageGate, UsageGate.feature),
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
