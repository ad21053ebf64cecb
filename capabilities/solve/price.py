"""What a solve costs now: the staff's setting, or the plan's own price, or that of the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from auth.tiers import Tier
from capabilities.solve.plan_limits import SolveLimits
from metering.app_settings.app_setting import AppSetting, read_setting

DEAREST_CENTS: Final = 1_000_000


def _cents(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= DEAREST_CENTS:
        raise ValueError(f"Enter a whole number of cents from 0 to {DEAREST_CENTS:,}")
    return value


SOLVE_PRICE: Final = AppSetting(
    "solve_price_cents",
    "Price of a solve, in cents",
    _cents,
    "For all plans. Not set: the plan's own price, or COST_PER_REQUEST_CENTS",
)


@dataclass(frozen=True)
class Prices:
    """`default_cents` is for plans without a price of their own."""

    plans: Mapping[Tier, SolveLimits]
    default_cents: int
    engine: Engine

    def now(self) -> Mapping[Tier, int]:
        """In cents."""
        for_all = read_setting(self.engine, SOLVE_PRICE)
        return {tier: self._of_plan(plan) if for_all is None else for_all for tier, plan in self.plans.items()}

    def _of_plan(self, plan: SolveLimits) -> int:
        return self.default_cents if plan.price_cents is None else plan.price_cents
