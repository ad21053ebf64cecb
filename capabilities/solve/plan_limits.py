"""What each plan may use of image solving, and what it costs there."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth.tiers import Tier

FEATURE: Final = "solve"
"""The feature's name in Redis, in SQL and in the plan table, and the scope of API keys."""
MIB: Final = 2**20
LARGEST_PICTURE: Final = 10 * MIB


@dataclass(frozen=True)
class SolveLimits:
    """Limits of one tier.

    `per_day`: solves a UTC day, None for no limit. `burst` in `burst_seconds`: how many may come in quick succession.
    `concurrency`: calls in flight at once for one user. `largest_picture`: bytes. `price_cents` of one solve; None for
    `COST_PER_REQUEST_CENTS`. `failures_per_hour`: how many calls of one UTC hour may reach a provider and bring no solution,
    which costs nothing.
    """

    per_day: int | None
    burst: int
    concurrency: int
    largest_picture: int = LARGEST_PICTURE
    price_cents: int | None = None
    burst_seconds: int = 60
    failures_per_hour: int = 20
    options: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.price_cents is not None and self.price_cents < 0:
            raise ValueError("A price cannot be negative")

    def published(self) -> Mapping[str, int | None]:
        figures = {name: getattr(self, name) for name in ("per_day", "burst", "burst_seconds", "concurrency")}
        return {**figures, "largest_picture_bytes": self.largest_picture}


SOLVE_LIMITS: Final[Mapping[Tier, SolveLimits]] = MappingProxyType(
    {
        Tier.FREE: SolveLimits(per_day=10, burst=5, concurrency=1, largest_picture=5 * MIB),
        Tier.PLUS: SolveLimits(per_day=50, burst=10, concurrency=2),
        Tier.PRO: SolveLimits(per_day=200, burst=30, concurrency=4),
        Tier.TEAM: SolveLimits(per_day=1000, burst=60, concurrency=8),
        Tier.ENTERPRISE: SolveLimits(per_day=None, burst=200, concurrency=16),
    }
)
