"""Counting attempts over time: in Redis, so that all processes count together.

Built on the strategies that flask-limiter uses inside, without its extension (docs/decisions/0008-address-limits.md).
"""

import hmac
import threading
from collections.abc import Callable
from time import time
from typing import TypeVar

import redis
from limits import RateLimitItem
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import RateLimiter

from auth.email_address import EmailAddress
from database.redis.server import KEY_PREFIX, RedisServer

Answer = TypeVar("Answer")


class AttemptCounts:
    """While there is no Redis, counts in this process alone: then a limit holds per process, never not at all.

    `name` keeps these counts apart from others in Redis.
    """

    def __init__(self, server: RedisServer, strategy: type[RateLimiter], name: str) -> None:
        self._server = server
        self._strategy = strategy
        self._name = name
        self._building = threading.Lock()
        self._shared: RateLimiter | None = None
        self._own: RateLimiter | None = None

    def hit(self, limit: RateLimitItem, *identity: str) -> float | None:
        """Count one attempt; None when it is within the limit, else the seconds to wait, and nothing is counted."""
        return self._ask(lambda strategy: _wait(strategy, strategy.hit(limit, *identity), limit, identity))

    def look(self, limit: RateLimitItem, *identity: str) -> float | None:
        """What `hit` would say; nothing is counted."""
        return self._ask(lambda strategy: _wait(strategy, strategy.test(limit, *identity), limit, identity))

    def used(self, limit: RateLimitItem, *identity: str) -> int:
        """How many attempts were counted."""
        return self._ask(lambda strategy: limit.amount - strategy.get_window_stats(limit, *identity).remaining)

    def clear(self, limit: RateLimitItem, *identity: str) -> None:
        self._in_memory().clear(limit, *identity)
        self._ask(lambda strategy: strategy.clear(limit, *identity))

    def _ask(self, question: Callable[[RateLimiter], Answer]) -> Answer:
        client = self._server.client()
        if client is not None:
            try:
                return question(self._in_redis(client))
            except redis.RedisError:
                self._server.failed()
        return question(self._in_memory())

    def _in_redis(self, client: redis.Redis) -> RateLimiter:
        with self._building:
            if self._shared is None:
                pool = client.connection_pool
                storage = RedisStorage("redis://", connection_pool=pool, key_prefix=f"{KEY_PREFIX}{self._name}")
                self._shared = self._strategy(storage)
            return self._shared

    def _in_memory(self) -> RateLimiter:
        with self._building:
            if self._own is None:
                self._own = self._strategy(MemoryStorage())
            return self._own


def _wait(strategy: RateLimiter, admitted: bool, limit: RateLimitItem, identity: tuple[str, ...]) -> float | None:
    return None if admitted else strategy.get_window_stats(limit, *identity).reset_time - time() + 1


def keyed_hash(key: bytes, email: EmailAddress) -> str:
    """What stands for an address in Redis."""
    return hmac.digest(key, email.key.encode(), "sha256").hex()
