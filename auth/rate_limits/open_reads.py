"""How often one network address may read what is open to anyone.

It is counted as the general limit is, in trips to Redis that requests share: a page of a shop reads much, and cheaply.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import redis
from limits import RateLimitItem

from auth.rate_limits.by_address import SITE_ALLOWANCE, AddressLimits, networks_of, refuse_for
from database.base import Clock
from database.redis.script import Script
from database.redis.server import KEY_PREFIX, RedisServer
from security.edge.client_address import client_address
from security.edge.problems import Problem, TooManyRequests

NAME = "open_reads"

COUNT = Script("""
local counts = {}
for i, key in ipairs(KEYS) do
  counts[i] = redis.call('INCR', key)
  if counts[i] == 1 then redis.call('EXPIRE', key, ARGV[1]) end
end
return counts
""")


@dataclass(frozen=True)
class OpenReads:
    """A guard. The windows do not slide: the next one begins for everybody at once, as that of the general limit does."""

    because: str
    limit: RateLimitItem
    redis: RedisServer
    clock: Clock
    without_redis: AddressLimits
    scheme: str | None = None
    problems: tuple[type[Problem], ...] = (TooManyRequests,)

    def admit(self) -> None:
        """Raises TooManyRequests."""
        address = client_address()
        networks, window = networks_of(address, SITE_ALLOWANCE), self.limit.get_expiry()
        number, gone = divmod(int(self.clock().timestamp()), window)
        counts = self._count([f"{KEY_PREFIX}{NAME}:{number}:{network}" for network, _ in networks], window)
        if counts is None:
            self.without_redis.count(self.limit, NAME, address)
            return
        for count, (_, allowance) in zip(counts, networks, strict=True):
            if count > self.limit.amount * allowance:
                refuse_for(window - gone, self.limit, NAME)

    def _count(self, keys: Sequence[str], window: int) -> Sequence[int] | None:
        """The requests of this window, with this one. None when Redis does not say."""
        scripts = self.redis.scripts()
        if scripts is None:
            return None
        try:
            counts: list[int] = scripts.run(COUNT, len(keys), *keys, window)
        except redis.RedisError:
            return None
        return counts
