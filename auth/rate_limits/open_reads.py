"""How often one network address may read what is open to anyone.

It is counted as the general limit is, in trips to Redis that requests share: a page of a shop reads much, and cheaply.
"""

from dataclasses import dataclass

import redis
from limits import RateLimitItem

from auth.bounded_cache import BoundedCache
from auth.rate_limits.by_address import SITE_ALLOWANCE, AddressLimits, networks_of, refuse_for
from database.base import Clock
from database.redis.script import Script
from database.redis.server import KEY_PREFIX, RedisServer
from security.edge.client_address import client_address
from security.edge.problems import Problem, TooManyRequests

NAME = "open_reads"
MOST_NETWORKS = 8192

COUNT = Script("""
local counts = {}
for i, key in ipairs(KEYS) do
  counts[i] = redis.call('INCRBY', key, ARGV[i + 1])
  redis.call('EXPIRE', key, ARGV[1])
end
return counts
""")


class OwnCounts:
    """Requests of each network in each window, in this process. Those that began to ask first are forgotten first."""

    def __init__(self) -> None:
        self._counts: BoundedCache[str, int] = BoundedCache(MOST_NETWORKS)

    def count(self, key: str) -> int:
        """With this one. Of two at once one may be missed."""
        count = (self._counts.get(key) or 0) + 1
        self._counts.put(key, count)
        return count


@dataclass(frozen=True)
class OpenReads:
    """A guard. The windows do not slide: the next one begins for everybody at once, as that of the general limit does.

    Most visitors never read more than a tenth of the limit in a window, and Redis is told of none of that. Beyond it every request
    is counted there, the first with all before it. So an address may read a tenth more for each further process that it asks little.
    """

    because: str
    limit: RateLimitItem
    redis: RedisServer
    clock: Clock
    without_redis: AddressLimits
    here: OwnCounts
    scheme: str | None = None
    problems: tuple[type[Problem], ...] = (TooManyRequests,)

    def admit(self) -> None:
        """Raises TooManyRequests."""
        address = client_address()
        scripts = self.redis.scripts()
        if scripts is None:
            self.without_redis.count(self.limit, NAME, address)
            return
        window = self.limit.get_expiry()
        number, gone = divmod(int(self.clock().timestamp()), window)
        told: list[tuple[str, int, int]] = []
        for network, times in networks_of(address, SITE_ALLOWANCE):
            key, most = f"{KEY_PREFIX}{NAME}:{number}:{network}", self.limit.amount * times
            count = self.here.count(key)
            if count * 10 > most:
                told.append((key, 1 if (count - 1) * 10 > most else count, most))
        if not told:
            return
        keys, amounts, limits = zip(*told, strict=True)
        try:
            counts: list[int] = scripts.run(COUNT, len(keys), *keys, window, *amounts)
        except redis.RedisError:
            self.without_redis.count(self.limit, NAME, address)
            return
        if any(count > most for count, most in zip(counts, limits, strict=True)):
            refuse_for(window - gone, self.limit, NAME)
