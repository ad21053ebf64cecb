"""What each plan may use of chat."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth.tiers import Tier

FEATURE: Final = "chat"
"""The feature's name in SQL and in the plan table, and the scope of API keys."""


@dataclass(frozen=True)
class ChatLimits:
    """Limits of one tier.

    `per_day`: messages a UTC day, and `tokens_per_day` those of prompts and replies together, None for no limit. `burst` in
    `burst_seconds`: how many messages may come in quick succession. `concurrency`: replies at once. `longest_prompt` and
    `longest_reply`: tokens of one message; None for what the model takes. `sockets`: how many may be open. `failures_per_hour`: how
    many replies of one UTC hour may fail after a provider had work with them, which costs nothing.
    """

    per_day: int | None
    tokens_per_day: int | None
    burst: int
    concurrency: int
    longest_prompt: int | None
    longest_reply: int | None
    sockets: int
    burst_seconds: int = 60
    failures_per_hour: int = 20
    options: frozenset[str] = frozenset()

    def published(self) -> Mapping[str, int | None]:
        names = ("per_day", "tokens_per_day", "burst", "burst_seconds", "concurrency")
        figures = {name: getattr(self, name) for name in names}
        return {
            **figures,
            "longest_prompt_tokens": self.longest_prompt,
            "longest_reply_tokens": self.longest_reply,
            "sockets": self.sockets,
        }


CHAT_LIMITS: Final[Mapping[Tier, ChatLimits]] = MappingProxyType(
    {
        Tier.FREE: ChatLimits(20, 50_000, burst=5, concurrency=1, longest_prompt=8_000, longest_reply=1_024, sockets=2),
        Tier.PLUS: ChatLimits(
            200, 500_000, burst=20, concurrency=2, longest_prompt=16_000, longest_reply=4_096, sockets=5
        ),
        Tier.PRO: ChatLimits(
            1_000, 2_000_000, burst=40, concurrency=4, longest_prompt=32_000, longest_reply=8_192, sockets=10
        ),
        Tier.TEAM: ChatLimits(
            5_000, 10_000_000, burst=100, concurrency=8, longest_prompt=64_000, longest_reply=16_384, sockets=20
        ),
        Tier.ENTERPRISE: ChatLimits(
            None, None, burst=300, concurrency=32, longest_prompt=None, longest_reply=None, sockets=50
        ),
    }
)
