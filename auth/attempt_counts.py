"""Counting attempts over time: in Redis, so that all processes count together.

Built on the strategies that flask-limiter uses inside, without its extension: the extension's hooks run on every request
of the application, 50 µs each, also where nothing is limited.
"""

import threading
from time import time

import redis
from limits import RateLimitItem
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import RateLimiter

from database.redis_lease import RedisLease, RedisLeases


class AttemptCounts:
    """While there is no Redis, counts in this process alone: then a limit holds per process, never not at all.

    `name` keeps these counts apart from others in Redis.
    """

    def __init__(self, leases: RedisLeases, strategy: type[RateLimiter], name: str) -> None:
        self._leases = leases
        self._strategy = strategy
        self._name = name
        self._building = threading.Lock()
        self._shared: tuple[str, RateLimiter] | None = None
        self._own: RateLimiter | None = None

    def hit(self, limit: RateLimitItem, *identity: str) -> float | None:
        """Count one attempt; None when it is within the limit, else the seconds to wait, and nothing is counted."""
        lease = self._leases.current()
        if lease is not None:
            try:
                return self._hit(self._in_redis(lease), limit, identity)
            except redis.RedisError:
                self._leases.failed(lease)
        return self._hit(self._in_memory(), limit, identity)

    def _hit(self, strategy: RateLimiter, limit: RateLimitItem, identity: tuple[str, ...]) -> float | None:
        if strategy.hit(limit, *identity):
            return None
        return strategy.get_window_stats(limit, *identity).reset_time - time() + 1

    def _in_redis(self, lease: RedisLease) -> RateLimiter:
        with self._building:
            if self._shared is None or self._shared[0] != lease.prefix:
                storage = RedisStorage(
                    "redis://", connection_pool=lease.client.connection_pool, key_prefix=f"{lease.prefix}{self._name}"
                )
                self._shared = lease.prefix, self._strategy(storage)
            return self._shared[1]

    def _in_memory(self) -> RateLimiter:
        with self._building:
            if self._own is None:
                self._own = self._strategy(MemoryStorage())
            return self._own
