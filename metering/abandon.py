"""A call whose process is known to have died: what it holds ends now, and not with its lease."""

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from metering.models import IdempotencyKey, RequestLog, UsageReservation


def abandon(session: Session, user_id: UUID, request_id: UUID) -> RequestLog | None:
    """Its reservation counts no more, and the next request with its idempotency key takes over. `sweep_reservations` notes it.

    Nothing is changed of a call that was counted before its process died. Then its row is returned.
    """
    counted = select(RequestLog).where(RequestLog.id == request_id, RequestLog.success)
    if (row := session.scalars(counted).one_or_none()) is not None:
        return row
    now = func.clock_timestamp()
    held = update(UsageReservation).where(UsageReservation.request_id == request_id, UsageReservation.lease_until > now)
    session.execute(held.values(lease_until=now))
    key = update(IdempotencyKey).where(
        IdempotencyKey.user_id == user_id,
        IdempotencyKey.request_id == request_id,
        IdempotencyKey.answer.is_(None),
        IdempotencyKey.lease_until > now,
    )
    session.execute(key.values(lease_until=now))
    return None
