"""What each plan may have of the terminal."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth.tiers import Tier

FEATURE: Final = "terminal"


@dataclass(frozen=True)
class TerminalLimits:
    """Limits of one tier.

    `sessions` may be open at once. `resume_minutes`: how long one goes on while no device has it. `longest_hours`: how long it may
    last in total. `history_days`: how long commands are kept, and sessions after their end.
    """

    sessions: int
    resume_minutes: int
    longest_hours: int
    profiles: int
    keys: int
    history_days: int
    options: frozenset[str] = frozenset()

    def published(self) -> Mapping[str, int | None]:
        names = ("sessions", "resume_minutes", "longest_hours", "profiles", "keys", "history_days")
        return {name: getattr(self, name) for name in names}


TERMINAL_LIMITS: Final[Mapping[Tier, TerminalLimits]] = MappingProxyType(
    {
        Tier.FREE: TerminalLimits(1, resume_minutes=2, longest_hours=1, profiles=5, keys=2, history_days=30),
        Tier.PLUS: TerminalLimits(3, resume_minutes=10, longest_hours=4, profiles=20, keys=5, history_days=90),
        Tier.PRO: TerminalLimits(5, resume_minutes=30, longest_hours=12, profiles=50, keys=20, history_days=365),
        Tier.TEAM: TerminalLimits(20, resume_minutes=120, longest_hours=24, profiles=200, keys=50, history_days=365),
        Tier.ENTERPRISE: TerminalLimits(
            100, resume_minutes=480, longest_hours=24, profiles=1_000, keys=100, history_days=365
        ),
    }
)


def tiers_by_history_days() -> Iterator[tuple[int, list[Tier]]]:
    for days in sorted({limits.history_days for limits in TERMINAL_LIMITS.values()}):
        yield days, [tier for tier, limits in TERMINAL_LIMITS.items() if limits.history_days == days]
