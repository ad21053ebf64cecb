"""The one Redis of a process. It holds copies and counts that save work, and nothing that could not be lost at any moment."""

import logging
import threading
from dataclasses import dataclass
from time import monotonic

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from database.redis.metrics import REDIS_FAILURES
from database.redis.script import ScriptRunner

log = logging.getLogger(__name__)

KEY_PREFIX = "mos:"
REST_SECONDS = 1.0
MOST_CONNECTIONS = 64
POOL_WAIT_SECONDS = 2.0
"""Long, because a pool in which all connections are in use says nothing about Redis. Requests share `scripts` instead."""


@dataclass(frozen=True)
class RedisAddress:
    """How a process reaches Redis. `timeout`: seconds that one command may take."""

    url: str
    timeout: float = 0.1


class RedisServer:
    """Says whether to ask Redis now. After a failure nobody does for a second, so that a server that hangs costs little."""

    def __init__(self, address: RedisAddress | None, rest: float = REST_SECONDS) -> None:
        """`address` None: there is no Redis."""
        self._address = address
        self._rest = rest
        self._resting_until = 0.0
        self._making = threading.Lock()
        self._client: redis.Redis | None = None
        self._scripts: ScriptRunner | None = None

    def client(self, *, even_at_rest: bool = False) -> redis.Redis | None:
        """None when there is no Redis, or it failed a moment ago. Connects to nothing.

        `even_at_rest`: for what must be said to Redis now or never.
        """
        if self._address is None or (self._rests() and not even_at_rest):
            return None
        if self._client is None:
            with self._making:
                self._client = self._client or connect(self._address)
        return self._client

    def scripts(self) -> ScriptRunner | None:
        """The same for what every request asks, in shared trips. It tells by itself when Redis failed."""
        if self._scripts is None and (client := self.client()) is not None:
            with self._making:
                self._scripts = self._scripts or ScriptRunner(client, rests=self._rests, failed=self.failed)
        return None if self._rests() else self._scripts

    def failed(self) -> None:
        """Say that a command failed or was not answered in time."""
        REDIS_FAILURES.inc()
        now = monotonic()
        if now >= self._resting_until:
            log.warning("redis_failed")
        self._resting_until = now + self._rest

    def _rests(self) -> bool:
        return monotonic() < self._resting_until

    def close(self) -> None:
        if self._client is not None:
            self._client.connection_pool.disconnect()


def connect(address: RedisAddress) -> redis.Redis:
    """A client that sends nothing twice: a command that timed out may have been carried out."""
    pool = redis.BlockingConnectionPool.from_url(
        address.url,
        max_connections=MOST_CONNECTIONS,
        timeout=POOL_WAIT_SECONDS,
        socket_timeout=address.timeout,
        socket_connect_timeout=address.timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return redis.Redis(connection_pool=pool)


def ping(address: RedisAddress) -> None:
    """Connects anew and asks for a sign of life. Raises redis.RedisError."""
    client = connect(address)
    try:
        client.ping()
    finally:
        client.connection_pool.disconnect()
