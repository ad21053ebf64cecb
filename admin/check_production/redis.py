"""Redis or Valkey: who may connect, what it does when it is full, its clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import redis

from admin.check_production.clocks import clock_is_off
from database.base import Clock
from database.redis.server import RedisAddress, connect
from settings.private_hosts import is_private_host
from settings.production_check import CannotAsk, ProductionCheck, Shortcoming

SECONDS = 3.0


def redis_check(url: str, clock: Clock) -> ProductionCheck:
    right = "Redis asks for a password, keeps what it is told, and is encrypted where it is needed."
    return ProductionCheck("redis", right, lambda: find(url, clock))


def find(url: str, clock: Clock) -> Iterator[Shortcoming]:
    parts = urlsplit(url)
    private = is_private_host(parts.hostname or "")
    if not private and parts.scheme != "rediss":
        # It is not asked either: that would send the password for everybody to read.
        raise CannotAsk(
            "The connection to Redis crosses a public network without TLS.",
            "Use a rediss:// address in REDIS_URL, or a private network.",
        )
    if not private and "ssl_cert_reqs=none" in parts.query:
        yield Shortcoming(
            "The certificate of Redis is not checked.",
            "Remove ssl_cert_reqs=none from REDIS_URL. On Heroku this cannot be helped.",
            fails=False,
        )
    if not parts.password and "password=" not in parts.query:
        yield Shortcoming(
            "Redis asks for no password.",
            "Set requirepass on the server and put it into REDIS_URL: redis://:…@host",
            fails=not private,
        )
    with asking(url) as client:
        before = clock()
        seconds, microseconds = client.time()
        theirs = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
        yield from clock_is_off("Redis", theirs, before, clock())
        policy = client.info("memory").get("maxmemory_policy")
    if policy != "noeviction":
        yield Shortcoming(
            f"When Redis is full it drops keys ({policy}), among them the counts of wrong passwords.",
            "CONFIG SET maxmemory-policy noeviction, and in its configuration.",
            fails=False,
        )


@contextmanager
def asking(url: str) -> Iterator[redis.Redis]:
    """Raises CannotAsk."""
    client = connect(RedisAddress(url, timeout=SECONDS))
    try:
        yield client
    except redis.exceptions.AuthenticationError:
        raise CannotAsk("Redis refuses the password.", "Correct the password in REDIS_URL.") from None
    except redis.RedisError as error:
        raise CannotAsk(
            f"Redis cannot be asked ({type(error).__name__}).", "Check REDIS_URL (docs/deployment.md, Troubleshooting)."
        ) from None
    finally:
        client.connection_pool.disconnect()
