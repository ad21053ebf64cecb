"""A call whose process is known to have died: what it holds ends now, and not with its lease."""

from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from metering.models import IdempotencyKey, UsageReservation


def abandon(session: Session, user_id: UUID, request_id: UUID) -> None:
    """Its reservation counts no more, and the next request with its idempotency key takes over. `sweep_reservations` notes it."""
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
