"""Leave to use Redis. Whoever holds a lease may trust what lies under its prefix; without one, PostgreSQL is asked instead."""

from dataclasses import dataclass
from typing import Protocol

import redis


@dataclass(frozen=True)
class RedisLease:
    """All keys are written under `prefix`. A new epoch has a new prefix, so what an earlier one left behind is never read."""

    epoch: int
    prefix: str
    client: redis.Redis


class RedisLeases(Protocol):
    def current(self) -> RedisLease | None:
        """The lease of this moment; None when Redis is not configured, not reachable, or not to be trusted. Never blocks."""

    def failed(self, lease: RedisLease) -> None:
        """Say that a command failed under this lease: from now on every process goes to PostgreSQL, until a new epoch begins."""


class WithoutRedis:
    """No Redis is configured: PostgreSQL is always asked."""

    def current(self) -> None:
        return None

    def failed(self, lease: RedisLease) -> None:
        """There is never a lease that could fail."""
