"""Counting attempts over time: in Redis, so that all processes count together.

Built on the strategies that flask-limiter uses inside, without its extension: the extension's hooks run on every request
of the application, 50 µs each, also where nothing is limited.
"""

import threading
from collections.abc import Callable
from time import time

import redis
from limits import RateLimitItem
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import RateLimiter

from database.redis_lease import RedisLease, RedisLeases

Question = Callable[..., bool]
"""A method of a strategy: does it admit one more attempt?"""


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
        return self._ask(self._strategy.hit, limit, identity)

    def look(self, limit: RateLimitItem, *identity: str) -> float | None:
        """What `hit` would say; nothing is counted."""
        return self._ask(self._strategy.test, limit, identity)

    def _ask(self, question: Question, limit: RateLimitItem, identity: tuple[str, ...]) -> float | None:
        lease = self._leases.current()
        if lease is not None:
            try:
                return _answer(question, self._in_redis(lease), limit, identity)
            except redis.RedisError:
                self._leases.failed(lease)
        return _answer(question, self._in_memory(), limit, identity)

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


def _answer(question: Question, strategy: RateLimiter, limit: RateLimitItem, identity: tuple[str, ...]) -> float | None:
    if question(strategy, limit, *identity):
        return None
    return strategy.get_window_stats(limit, *identity).reset_time - time() + 1
