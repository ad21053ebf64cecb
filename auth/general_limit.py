"""The general limit: how many requests of any kind a user may make in a UTC minute, by tier.

Counted in Redis, in the trip that reads the account's state; while there is no Redis, in this process.
"""

import threading
from collections.abc import Mapping
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
POLICY = "general"


class RateLimited(Problem):
    """Nothing was read or done for this request."""

    status, error, title = 429, "rate_limited", "Too many requests"
    type = "https://iana.org/assignments/http-problem-types#quota-exceeded"

    def __init__(self, limit: int, seconds: int) -> None:
        super().__init__(
            f"Your plan allows {limit} requests a minute. Try again in {seconds} seconds",
            headers=retry_after(seconds)
            | {"RateLimit-Policy": f'"{POLICY}";q={limit};w={MINUTE}', "RateLimit": f'"{POLICY}";r=0;t={seconds}'},
            **{"violated-policies": [POLICY]},
        )


class GeneralLimit:
    """Who is over the limit is remembered for the rest of the minute, and refused before anything is asked."""

    def __init__(self, per_minute: Mapping[Tier, int], clock: Clock, *, remembered: int = 8192) -> None:
        """With an empty `per_minute` nothing is limited or counted."""
        self.is_on = bool(per_minute)
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
            GENERAL_REFUSALS.inc()
            raise RateLimited(over[1], self._left())

    def key(self, user_id: UUID) -> str:
        return f"{KEY_PREFIX}requests:{self._minute()}:{user_id.hex}"

    def count_elsewhere(self, user_id: UUID, tier: Tier) -> RequestCount:
        """For a script that is on its way to Redis anyway, while this limit is on."""
        return RequestCount(self.key(user_id), self._per_minute[tier])

    def count_here(self, user_id: UUID) -> int:
        """The user's requests of this minute in this process, with this one."""
        if not self.is_on:
            return 0
        minute = self._minute()
        with self._lock:
            if minute != self._counted_minute:
                self._counted_minute = minute
                self._counts.clear()
            count = self._counts[user_id] = self._counts.get(user_id, 0) + 1
        return count

    def judge(self, user_id: UUID, tier: Tier, count: int) -> None:
        """`count`: the user's requests of this minute, with this one. Raises RateLimited."""
        if self.is_on and count > (limit := self._per_minute[tier]):
            self._over.put(user_id, (self._minute(), limit))
            GENERAL_REFUSALS.inc()
            raise RateLimited(limit, self._left())

    def _minute(self) -> int:
        return int(self._clock().timestamp()) // MINUTE

    def _left(self) -> int:
        return MINUTE - int(self._clock().timestamp()) % MINUTE
