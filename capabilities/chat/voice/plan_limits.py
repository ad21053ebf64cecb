"""What each plan may use of voice."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth.tiers import Tier

VOICE: Final = "voice"
"""The feature's name in SQL and in the plan table. API keys need the scope of chat."""


@dataclass(frozen=True)
class VoiceLimits:
    """Limits of one tier.

    `seconds_per_day`: of recordings, in a UTC day; None for no limit, 0 where the plan has no voice. `burst` in `burst_seconds`: how
    many recordings, and replies that are spoken, may come in quick succession, and `concurrency` how many at once.
    `failures_per_hour`: how many of one UTC hour may fail after a provider had work with them, which costs nothing.
    """

    seconds_per_day: int | None
    burst: int = 40
    concurrency: int = 4
    burst_seconds: int = 60
    failures_per_hour: int = 20
    options: frozenset[str] = frozenset()

    def published(self) -> Mapping[str, int | None]:
        return {"seconds_per_day": self.seconds_per_day}


VOICE_LIMITS: Final[Mapping[Tier, VoiceLimits]] = MappingProxyType(
    {
        Tier.FREE: VoiceLimits(0),
        Tier.PLUS: VoiceLimits(600),
        Tier.PRO: VoiceLimits(3_600, burst=80, concurrency=8),
        Tier.TEAM: VoiceLimits(7_200, burst=200, concurrency=16),
        Tier.ENTERPRISE: VoiceLimits(None, burst=600, concurrency=64),
    }
)
