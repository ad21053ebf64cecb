"""How many requests a user may make in a UTC minute, by tier: of any kind (the general limit), and of those under `/api/auth`.

Both are counted in Redis, in the trip that reads the account's state; while there is no Redis, in this process.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from auth.bounded_cache import BoundedCache
from auth.metrics import GENERAL_REFUSALS
from auth.principal import RequestCount
from auth.tiers import Tier
from database.base import Clock
from database.redis.server import KEY_PREFIX
from security.edge.problems import Problem, retry_after

MINUTE = 60
KEY_LIFETIME_SECONDS = 2 * MINUTE
GENERAL: Final = "general"
ACCOUNT_CALLS: Final = "auth"
RATE_LIMIT_HEADERS: Final = {
    "RateLimit": "What is left under each policy: r requests, for t seconds.",
    "RateLimit-Policy": "Each policy: q requests in w seconds.",
}
"""What they mean, for the OpenAPI document."""


@dataclass(frozen=True)
class Standing:
    """What is left of one limit after a request."""

    policy: str
    limit: int
    remaining: int
    seconds: int
    """Until it begins anew."""


def standing_headers(standings: Iterable[Standing]) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers-11."""
    standings = list(standings)
    return {
        "RateLimit-Policy": ", ".join(f'"{each.policy}";q={each.limit};w={MINUTE}' for each in standings),
        "RateLimit": ", ".join(f'"{each.policy}";r={each.remaining};t={each.seconds}' for each in standings),
    }


class RateLimited(Problem):
    """Nothing was read or done for this request."""

    status, error, title = 429, "rate_limited", "Too many requests"
    type = "https://iana.org/assignments/http-problem-types#quota-exceeded"

    def __init__(self, standing: Standing) -> None:
        what = "requests to /api/auth" if standing.policy == ACCOUNT_CALLS else "requests"
        super().__init__(
            f"Your plan allows {standing.limit} {what} a minute. Try again in {standing.seconds} seconds",
            headers=retry_after(standing.seconds) | standing_headers([standing]),
            limited_by="plan",
            **{"violated-policies": [standing.policy]},
        )


class MinuteLimit:
    """Who is over the limit is remembered for the rest of the minute, and refused before anything is asked."""

    def __init__(self, policy: str, per_minute: Mapping[Tier, int], clock: Clock, *, remembered: int = 8192) -> None:
        """With an empty `per_minute` nothing is limited or counted."""
        self.is_on = bool(per_minute)
        self._policy = policy
        self._per_minute = per_minute
        self._clock = clock
        self._over: BoundedCache[UUID, tuple[int, int]] = BoundedCache(remembered)
        self._lock = threading.Lock()
        self._counted_minute = 0
        self._counts: dict[UUID, int] = {}

    def refuse_known(self, user_id: UUID) -> None:
        """Raises RateLimited when this process saw that the user's minute is used up."""
        over = self._over.get(user_id)
        if over is not None and over[0] == self._minute():
            raise self._refusal(over[1])

    def key(self, user_id: UUID) -> str:
        kind = "requests" if self._policy == GENERAL else f"requests:{self._policy}"
        return f"{KEY_PREFIX}{kind}:{self._minute()}:{user_id.hex}"

    def count_elsewhere(self, user_id: UUID, tier: Tier) -> RequestCount:
        """For a script that is on its way to Redis anyway, while this limit is on."""
        return RequestCount(self.key(user_id), self._per_minute[tier])

    def count_here(self, user_id: UUID) -> int:
        """The user's requests of this minute in this process, with this one."""
        minute = self._minute()
        with self._lock:
            if minute != self._counted_minute:
                self._counted_minute = minute
                self._counts.clear()
            count = self._counts[user_id] = self._counts.get(user_id, 0) + 1
        return count

    def judge(self, user_id: UUID, tier: Tier, count: int) -> Standing:
        """`count`: the user's requests of this minute, with this one. Raises RateLimited."""
        limit = self._per_minute[tier]
        if count > limit:
            self._over.put(user_id, (self._minute(), limit))
            raise self._refusal(limit)
        return Standing(self._policy, limit, limit - count, self._left())

    def _refusal(self, limit: int) -> RateLimited:
        GENERAL_REFUSALS.inc()
        return RateLimited(Standing(self._policy, limit, 0, self._left()))

    def _minute(self) -> int:
        return int(self._clock().timestamp()) // MINUTE

    def _left(self) -> int:
        return MINUTE - int(self._clock().timestamp()) % MINUTE
