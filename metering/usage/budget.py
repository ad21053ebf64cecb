"""What a user wants to be charged at most in a month: the draw that holds it, and the refusal."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from database import reading
from metering.limits import Draw, PolicyState
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


def budget_draw(user_id: UUID, price_micros: int, now: datetime) -> Draw:
    """What all that is charged in a month draws from. It is counted also without a budget: one may be set at any time."""
    with reading() as session:
        cents = session.scalars(select(UsageBudget.monthly_cents).where(UsageBudget.user_id == user_id)).one_or_none()
    allowed = None if cents is None else cents * MICROS_PER_CENT
    return Draw(BUDGET, ACCOUNT, MONEY_UNIT, month_of(now), allowed, price_micros, price_micros, BudgetReached)


class BudgetsOnly:
    """The purse of accounts that owe nothing: only their own budgets hold them."""

    def draws(self, user_id: UUID, price_micros: int, now: datetime) -> tuple[Draw, ...]:
        return (budget_draw(user_id, price_micros, now),) if price_micros else ()
