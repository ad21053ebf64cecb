"""What each plan may use of help with commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth.tiers import Tier

FEATURE: Final = "commands"
"""The feature's name in Redis, in SQL and in the plan table, and the scope of API keys."""


@dataclass(frozen=True)
class CommandsLimits:
    """Limits of one tier.

    `per_day`: answers a UTC day, None for no limit. `burst` in `burst_seconds`: how many may come in quick succession.
    `concurrency`: calls in flight at once for one user. `failures_per_hour`: how many calls of one UTC hour may reach OpenRouter
    and bring no answer, which costs nothing here.
    """

    per_day: int | None
    burst: int
    concurrency: int
    burst_seconds: int = 60
    failures_per_hour: int = 20
    options: frozenset[str] = frozenset()

    def published(self) -> Mapping[str, int | None]:
        return {name: getattr(self, name) for name in ("per_day", "burst", "burst_seconds", "concurrency")}


COMMANDS_LIMITS: Final[Mapping[Tier, CommandsLimits]] = MappingProxyType(
    {
        Tier.FREE: CommandsLimits(per_day=10, burst=10, concurrency=2),
        Tier.PLUS: CommandsLimits(per_day=50, burst=20, concurrency=2),
        Tier.PRO: CommandsLimits(per_day=100, burst=30, concurrency=4),
        Tier.TEAM: CommandsLimits(per_day=500, burst=60, concurrency=8),
        Tier.ENTERPRISE: CommandsLimits(per_day=None, burst=200, concurrency=16),
    }
)
