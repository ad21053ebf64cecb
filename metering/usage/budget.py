"""What a user wants to be charged at most in a month: set and read, and the draw that holds it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from database import reading, transaction
from metering.limits import Draw, PolicyState
from metering.models import UsageCounter
from metering.money import ACCOUNT, MICROS_PER_CENT, MONEY_UNIT, MoneyRefused
from metering.usage.models import UsageBudget
from metering.windows import month_of

BUDGET = "budget"


class BudgetReached(MoneyRefused):
    """The caller's own budget. Calls in flight count until they end."""

    error, title = "budget_reached", "This would exceed the monthly budget you set"

    def __init__(self, budget: PolicyState, now: datetime) -> None:
        resets_at = (now + timedelta(seconds=budget.reset_seconds)).astimezone(UTC)
        super().__init__(
            f"This would exceed the monthly budget you set. Raise the budget, or wait until {resets_at:%-d %B %Y}",
            monthly_cents=budget.limit // MICROS_PER_CENT,
            resets_at=f"{resets_at:%Y-%m-%dT%H:%M:%SZ}",
        )


@dataclass(frozen=True)
class Budget:
    """Of this month. `monthly_cents` is None when none is set."""

    monthly_cents: int | None
    used_micros: int
    resets_at: datetime


def read_budget(user_id: UUID, now: datetime) -> Budget:
    month = month_of(now)
    used = select(UsageCounter.used).where(
        UsageCounter.user_id == user_id,
        UsageCounter.feature == ACCOUNT,
        UsageCounter.unit == MONEY_UNIT,
        UsageCounter.window == month.name,
    )
    budget = select(UsageBudget.monthly_cents).where(UsageBudget.user_id == user_id)
    with reading() as session:
        cents, micros = session.execute(select(budget.scalar_subquery(), used.scalar_subquery())).one()
    return Budget(cents, micros or 0, datetime.fromtimestamp(month.ends, UTC))


def set_budget(user_id: UUID, monthly_cents: int | None, now: datetime) -> None:
    """None removes it. Calls in flight go on under the budget that they were reserved under."""
    with transaction() as session:
        if monthly_cents is None:
            session.execute(delete(UsageBudget).where(UsageBudget.user_id == user_id))
            return
        changed = {"monthly_cents": monthly_cents, "updated_at": now}
        session.execute(
            insert(UsageBudget)
            .values(user_id=user_id, **changed)
            .on_conflict_do_update(index_elements=[UsageBudget.user_id], set_=changed)
        )


def budget_draw(monthly_cents: int | None, price_micros: int, now: datetime) -> Draw:
    """What all that is charged in a month draws from. It is counted also without a budget: one may be set at any time."""
    allowed = None if monthly_cents is None else monthly_cents * MICROS_PER_CENT
    return Draw(BUDGET, ACCOUNT, MONEY_UNIT, month_of(now), allowed, price_micros, price_micros, BudgetReached)
