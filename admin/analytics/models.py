"""Days as they were counted. The views `analytics_…` (migrations/versions/0006_analytics.py) read them."""

from datetime import date, datetime

from sqlalchemy import BigInteger, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class ActivityOfDay(Base):
    """Registrations and active users, and how far the day is counted. All days are UTC.

    `finished`: the day is over and was counted once for all, with its calls and subscriptions. Weekly and monthly active users
    are those of the 7 and 30 days that end with it.
    """

    __tablename__ = "activity_by_day"

    day: Mapped[date] = mapped_column(primary_key=True)
    counted_until: Mapped[datetime]
    finished: Mapped[bool]
    registered: Mapped[int] = mapped_column(BigInteger)
    verified: Mapped[int] = mapped_column(BigInteger)
    active_users: Mapped[int] = mapped_column(BigInteger)
    weekly_active_users: Mapped[int | None] = mapped_column(BigInteger)
    monthly_active_users: Mapped[int | None] = mapped_column(BigInteger)


class UsageOfDay(Base):
    """The calls of a feature. Money is in millionths (micros)."""

    __tablename__ = "usage_by_day"

    day: Mapped[date] = mapped_column(primary_key=True)
    feature: Mapped[str] = mapped_column(Text, primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    succeeded: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
    price_micros: Mapped[int] = mapped_column(BigInteger)
    cost_micros: Mapped[int] = mapped_column(BigInteger)
    p50_ms: Mapped[int | None] = mapped_column(BigInteger)
    """Set when the day is finished, if there were calls that no limit refused."""
    p95_ms: Mapped[int | None] = mapped_column(BigInteger)
    p99_ms: Mapped[int | None] = mapped_column(BigInteger)


class ResponseTimesOfDay(Base):
    """How many calls of a feature took about so long; without those that a limit refused."""

    __tablename__ = "response_times_by_day"

    day: Mapped[date] = mapped_column(primary_key=True)
    feature: Mapped[str] = mapped_column(Text, primary_key=True)
    response_bucket: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    """`analytics_milliseconds` says what it stands for, to within 5 %."""
    calls: Mapped[int] = mapped_column(BigInteger)


class SubscriptionsOfDay(Base):
    """Subscriptions at the beginning of the day, at its end, and what happened in between. Monthly recurring revenue (MRR) is in
    minor units of the currency, which is empty where nobody pays.
    """

    __tablename__ = "subscriptions_by_day"

    day: Mapped[date] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    environment: Mapped[str] = mapped_column(Text, primary_key=True)
    """`live` or `test`."""
    tier: Mapped[str] = mapped_column(Text, primary_key=True)
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    active_at_start: Mapped[int] = mapped_column(BigInteger)
    started: Mapped[int] = mapped_column(BigInteger)
    ended: Mapped[int] = mapped_column(BigInteger)
    active: Mapped[int] = mapped_column(BigInteger)
    paying_at_start: Mapped[int] = mapped_column(BigInteger)
    paying_ended: Mapped[int] = mapped_column(BigInteger)
    paying: Mapped[int] = mapped_column(BigInteger)
    mrr_ended: Mapped[int] = mapped_column(BigInteger)
    mrr: Mapped[int] = mapped_column(BigInteger)
