"""What has been used, what is in flight while PostgreSQL admits calls, and the burst clocks of that time.

No foreign key to users: the hot path must not touch the user's row. A job removes what belonged to a purged user.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class UsageCounter(Base):
    """The truth of what was used on one UTC day. It only rises; a refund is the removal of a reservation."""

    __tablename__ = "usage_counters"
    __table_args__ = (Index("ix_usage_counters_day", "day"),)

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    feature: Mapped[str] = mapped_column(Text, primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    used: Mapped[int]


class UsageFailures(Base):
    """Calls of one UTC hour that reached the private server and brought no prediction."""

    __tablename__ = "usage_failures"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    feature: Mapped[str] = mapped_column(Text, primary_key=True)
    hour: Mapped[str] = mapped_column(Text, primary_key=True)
    """The window's name: `2026-11-29T17`."""
    failed: Mapped[int]


class UsageReservation(Base):
    """A call in flight. It counts until `lease_until`, so that a killed process returns what it had taken."""

    __tablename__ = "usage_reservations"
    __table_args__ = (Index(None, "user_id", "feature"),)

    request_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    feature: Mapped[str] = mapped_column(Text)
    day: Mapped[date]
    lease_until: Mapped[datetime]
    created_at: Mapped[datetime]


class UsageGate(Base):
    """The burst clock (GCRA): the theoretical arrival time of the next call, in microseconds since 1970."""

    __tablename__ = "usage_gates"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    feature: Mapped[str] = mapped_column(Text, primary_key=True)
    burst_tat: Mapped[int] = mapped_column(BigInteger)
