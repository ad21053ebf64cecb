"""Tables of the gateway: what was asked of the private server, and the keys that make asking repeatable."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base
from database.redis_epoch_models import RedisEpochMember, RedisEpochRow
from gateway.limit_models import UsageCounter, UsageFailures, UsageGate, UsageReservation

__all__ = [
    "IdempotencyKey",
    "PredictionRequest",
    "RedisEpochMember",
    "RedisEpochRow",
    "UsageCounter",
    "UsageFailures",
    "UsageGate",
    "UsageReservation",
]


class PredictionRequest(Base):
    """One call that reached for the private server, or the first in a minute that a limit refused. It holds no word of what
    the user asked.

    Writing one shares a lock on the user's row (FOR KEY SHARE), so commands that change a user lock it FOR NO KEY UPDATE:
    otherwise a settling batch, which is many users' calls, would wait for them.
    """

    __tablename__ = "prediction_requests"
    __table_args__ = (
        CheckConstraint("length(request_data_hash) = 64", name="hash_is_sha256"),
        CheckConstraint("response_time_ms >= 0", name="response_time_not_negative"),
        CheckConstraint("success = (error_code IS NULL)", name="failure_says_why"),
        Index("ix_prediction_requests_user_id_created_at", "user_id", "created_at"),
        Index("ix_prediction_requests_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """The call's own id, a version 7 UUID: `metadata.request_id` of the answer."""
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    request_data_hash: Mapped[str] = mapped_column(Text)
    """Keyed HMAC-SHA256 of the canonical request, hex: equal requests match, and nobody can guess goals from it."""
    success: Mapped[bool]
    response_time_ms: Mapped[int]
    error_code: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    feature: Mapped[str] = mapped_column(Text)
    tier: Mapped[str] = mapped_column(Text)
    status: Mapped[int] = mapped_column(SmallInteger)
    upstream_ms: Mapped[int]
    window_date: Mapped[date]
    """The UTC day whose limit the call counted against."""


class IdempotencyKey(Base):
    """A client's Idempotency-Key: who holds it, what was asked with it, and the answer once there is one."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="answer_has_time"),
        Index("ix_idempotency_keys_created_at", "created_at"),
    )

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(Text, primary_key=True)
    key_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Text)
    request_id: Mapped[UUID]
    lease_until: Mapped[datetime]
    """Until then its holder may still be running. After it another one takes over, under the same request id.

    No two holders have the same, so it also says who holds the key.
    """
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    answered_at: Mapped[datetime | None]
    answer: Mapped[str | None] = mapped_column(Text)
    """Empty when the call was answered and counted, but the answer was too large to be kept."""
