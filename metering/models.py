"""The ledger of what was used, the log of calls, their charges, and the keys that make asking repeatable."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class UsageCounter(Base):
    """The truth of what was used of one unit in one window. It only rises; a refund is the removal of a reservation.

    `allowed` is the limit that the last call was reserved under; None: unlimited. No call is counted beyond it, whatever any
    clock, cache or lease says: the statement that counts it fails.
    """

    __tablename__ = "usage_counters"
    __table_args__ = (
        CheckConstraint("used <= allowed", name="within_allowed"),
        Index("ix_usage_counters_window", "window"),
    )

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    feature: Mapped[str] = mapped_column(Text, primary_key=True)
    unit: Mapped[str] = mapped_column(Text, primary_key=True)
    window: Mapped[str] = mapped_column(Text, primary_key=True)
    used: Mapped[int] = mapped_column(BigInteger)
    allowed: Mapped[int | None] = mapped_column(BigInteger)


class UsageReservation(Base):
    """What a call in flight may still use. It counts until `lease_until`, so that a killed process returns what it had taken."""

    __tablename__ = "usage_reservations"
    __table_args__ = (Index("ix_usage_reservations_user_id", "user_id"),)

    request_id: Mapped[UUID] = mapped_column(primary_key=True)
    feature: Mapped[str] = mapped_column(Text, primary_key=True)
    unit: Mapped[str] = mapped_column(Text, primary_key=True)
    window: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[UUID]
    amount: Mapped[int] = mapped_column(BigInteger)
    lease_until: Mapped[datetime]
    created_at: Mapped[datetime]


class UsageGate(Base):
    """The burst clock (GCRA): the theoretical arrival time of the next call, in microseconds since 1970."""

    __tablename__ = "usage_gates"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    feature: Mapped[str] = mapped_column(Text, primary_key=True)
    burst_tat: Mapped[int] = mapped_column(BigInteger)


class RequestLog(Base):
    """One call that reached for an upstream, or the first in a minute that a limit refused. It holds no word of what the user
    asked. Of an abandoned call its hash, tier, status and key are unknown. Money is in millionths (micros).
    `prediction_requests` is a view of those of predictions.

    Writing one shares a lock on the user's row (FOR KEY SHARE), so commands that change a user lock it FOR NO KEY UPDATE:
    otherwise a settling batch, which is many users' calls, would wait for them.
    """

    __tablename__ = "request_logs"
    __table_args__ = (
        CheckConstraint("length(request_data_hash) = 64", name="hash_is_sha256"),
        CheckConstraint("response_time_ms >= 0", name="response_time_not_negative"),
        CheckConstraint("success = (error_code IS NULL)", name="failure_says_why"),
        CheckConstraint(
            "outcome IN ('delivered', 'cut_short', 'failed', 'refused', 'unknown', 'abandoned')", name="outcome_known"
        ),
        Index("ix_request_logs_user_id_created_at", "user_id", "created_at"),
        Index("ix_request_logs_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """The call's own id, a version 7 UUID: `metadata.request_id` of the answer."""
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    api_key_id: Mapped[UUID | None]
    request_data_hash: Mapped[str | None] = mapped_column(Text)
    """Keyed HMAC-SHA256 of the canonical request, hex: equal requests match, and nobody can guess goals from it."""
    success: Mapped[bool]
    outcome: Mapped[str | None] = mapped_column(Text)
    """metering.settle.Outcome; None for a row that was written through the view."""
    response_time_ms: Mapped[int]
    error_code: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    feature: Mapped[str] = mapped_column(Text)
    tier: Mapped[str | None] = mapped_column(Text)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    upstream_ms: Mapped[int]
    window_date: Mapped[date]
    """The UTC day whose limit the call counted against."""
    provider: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    units: Mapped[dict[str, int] | None] = mapped_column(JSONB)
    price_micros: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cost_micros: Mapped[int] = mapped_column(BigInteger, server_default="0")
    details: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """What a feature says of its call: sizes and formats, never content. None for predictions."""


class Charge(Base):
    """What one call costs its user, and what it cost us. Rows are never changed or deleted; one a request id.

    `statement_id` is set once, by whoever bills the charge.
    """

    __tablename__ = "charges"
    __table_args__ = (
        CheckConstraint("price_micros > 0 AND cost_micros >= 0", name="money_not_negative"),
        Index("ix_charges_user_id_created_at", "user_id", "created_at"),
        Index(
            "ix_charges_user_id_window_date_waiting",
            "user_id",
            "window_date",
            postgresql_where=text("statement_id IS NULL"),
        ),
        Index(
            "ix_charges_statement_id_request_id",
            "statement_id",
            "request_id",
            postgresql_where=text("statement_id IS NOT NULL"),
        ),
    )

    request_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    feature: Mapped[str] = mapped_column(Text)
    window_date: Mapped[date] = mapped_column(server_default=text("(now() AT TIME ZONE 'UTC')::date"))
    """The UTC day that the call was reserved in: it belongs to that day's month, whenever it ended."""
    units: Mapped[dict[str, int] | None] = mapped_column(JSONB)
    price_micros: Mapped[int] = mapped_column(BigInteger)
    cost_micros: Mapped[int] = mapped_column(BigInteger)
    statement_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


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
