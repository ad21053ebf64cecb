"""What each plan may use of predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth.tiers import Tier

FEATURE: Final = "predict"
"""The feature's name in Redis, in SQL and in the plan table, and the scope of API keys."""
ENHANCED_GROUNDING: Final = "enhanced_grounding"


@dataclass(frozen=True)
class PlanLimits:
    """Limits of one tier.

    `per_day`: predictions a UTC day, None for no limit. `burst` in `burst_seconds`: how many may come in
    quick succession. `concurrency`: calls in flight at once for one user. `shed_from`: the share (0 to 1) of
    the process's call slots in use from which this tier is turned away, so that higher tiers keep room.
    `options` that the tier may ask for. `failures_per_hour`: how many calls of one UTC hour may reach the private
    server and bring no prediction, which costs nothing; None for no limit.
    """

    per_day: int | None
    burst: int
    concurrency: int
    shed_from: float
    burst_seconds: int = 60
    options: frozenset[str] = frozenset()
    failures_per_hour: int | None = 20

    def published(self) -> Mapping[str, int | None]:
        return {name: getattr(self, name) for name in ("per_day", "burst", "burst_seconds", "concurrency")}


GROUNDED = frozenset({ENHANCED_GROUNDING})
PREDICT_LIMITS: Final[Mapping[Tier, PlanLimits]] = MappingProxyType(
    {
        Tier.FREE: PlanLimits(per_day=5, burst=10, concurrency=2, shed_from=0.7),
        Tier.PLUS: PlanLimits(per_day=25, burst=30, concurrency=4, shed_from=0.8),
        Tier.PRO: PlanLimits(per_day=100, burst=60, concurrency=8, shed_from=0.9, options=GROUNDED),
        Tier.TEAM: PlanLimits(per_day=300, burst=120, concurrency=16, shed_from=0.95, options=GROUNDED),
        Tier.ENTERPRISE: PlanLimits(
            per_day=None, burst=300, concurrency=32, shed_from=1.0, options=GROUNDED, failures_per_hour=None
        ),
    }
)
