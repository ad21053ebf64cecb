"""What the caller has used today and what is left: one counter row, however many predictions were made."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import select

from database import reading
from gateway.limit_models import UsageCounter
from gateway.limits import Limits, PolicyState
from gateway.plan_limits import PlanLimits


@dataclass(frozen=True, slots=True)
class Usage:
    """`policies` count calls in flight as well; `used` counts what was delivered."""

    date: date
    used: int
    resets_at: datetime
    policies: tuple[PolicyState, ...]


def read_usage(limits: Limits, plan: PlanLimits, user_id: UUID, feature: str, now: datetime) -> Usage:
    """Raises LimitsUnavailable when PostgreSQL cannot be read."""
    today = now.astimezone(UTC).date()
    counted = select(UsageCounter.used).where(
        UsageCounter.user_id == user_id, UsageCounter.feature == feature, UsageCounter.day == today
    )
    with reading() as session:
        used = session.execute(counted).scalar() or 0
    midnight = datetime.combine(today + timedelta(days=1), time(), UTC)
    return Usage(today, used, midnight, limits.usage(user_id, feature, plan))
