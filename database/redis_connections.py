"""Connections to one run of one Redis server. A server that was started again is another run, and is not trusted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry


class RedisUnfit(redis.RedisError):
    """The server answers, but what it holds could vanish without notice. The message says what to change."""


@dataclass(frozen=True)
class RedisAddress:
    """How a process reaches Redis. `max_connections` bounds the pool; a caller waits `pool_timeout` seconds for one.

    `timeout`: seconds after which one unanswered command makes every process go to PostgreSQL. Too short, and a moment in
    which Redis got no processor ends the epoch; long only means that calls wait that much longer, once, when Redis hangs.
    It must stay below ExactLimits' STALL_SECONDS.
    """

    url: str
    timeout: float = 0.1
    max_connections: int = 64
    pool_timeout: float = 0.1


def connect(address: RedisAddress, run_id: str | None = None) -> redis.Redis:
    """A client whose every new connection checks that the server is still the run `run_id` (None: any run).

    Nothing is sent twice: a command that timed out may have been carried out.
    """

    def greet(connection: Any) -> None:
        connection.on_connect()
        if run_id is not None and run_id_of(ask_info(connection)) != run_id:
            raise redis.ConnectionError("This Redis was started again, or is another one")

    pool = redis.BlockingConnectionPool.from_url(
        address.url,
        max_connections=address.max_connections,
        timeout=address.pool_timeout,
        socket_timeout=address.timeout,
        socket_connect_timeout=address.timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        redis_connect_func=greet,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return redis.Redis(connection_pool=pool)


def redis_check(address: RedisAddress) -> Callable[[], None]:
    """A health check that connects anew and asks for a sign of life. It raises redis.RedisError."""

    def check() -> None:
        client = connect(address)
        try:
            client.ping()
        finally:
            client.connection_pool.disconnect()

    return check


def ask_info(connection: Any) -> bytes:
    connection.send_command("INFO", "server")
    answer: bytes = connection.read_response()
    return answer


def run_id_of(info: bytes) -> str:
    return info_fields(info).get("run_id", "")


def info_fields(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode("ascii", "replace").splitlines())
    return {name: value for name, separator, value in lines if separator}


def announce_epoch(address: RedisAddress, sentinel: str) -> str:
    """Write the key that every script of the next epoch looks for. Returns the run's id.

    Raises redis.RedisError; RedisUnfit when the server would evict keys to make room.
    """
    client = connect(address)
    try:
        server = client.info()
        if server.get("maxmemory", 0) and server.get("maxmemory_policy") != "noeviction":
            raise RedisUnfit("Redis must not evict keys: set maxmemory-policy to noeviction")
        client.set(sentinel, 1)
        return str(server["run_id"])
    finally:
        client.connection_pool.disconnect()
