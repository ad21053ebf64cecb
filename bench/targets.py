"""The servers that are compared: how each is started, with which environment, and who calls it."""

import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import psycopg2

from auth.tiers import Tier
from bench import floor
from bench.callers import HOST, gateway_tokens, plain_tokens

GATEWAY = "app:create_app()"
FLOOR = "bench.floor:create_floor()"
THREADS = 600
"""Enough for 500 predictions that wait and others beside them."""

Command = Callable[[int], Sequence[str]]
"""How a server is started on a listening socket, given its file descriptor."""


@dataclass(frozen=True)
class Addresses:
    """Where a target finds its services."""

    database_url: str
    redis_url: str
    private_api_url: str
    private_api_secret: str


@dataclass(frozen=True)
class Target:
    name: str
    command: Command
    environment: Mapping[str, str]
    tokens: Callable[[int, Tier], list[str]]
    """That many new callers of a tier; the floor knows no tiers."""


def gunicorn(wsgi: str) -> Command:
    """`wsgi` is "module:callable" or "module:factory()"."""
    return lambda fd: (sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", f"fd://{fd}", wsgi)


def production_environment(addresses: Addresses) -> dict[str, str]:
    """One worker as in production. The floor gets all of it too, for gunicorn.conf.py reads the same variables."""
    return {
        "FLASK_ENV": "production",
        "REGISTRATION_RESPONSE": "classic",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SECRET_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": addresses.database_url,
        "REDIS_URL": addresses.redis_url,
        "REDIS_TIMEOUT_MS": "500",  # all servers share the machine, and Redis may wait long for its processor
        "PRIVATE_API_URL": addresses.private_api_url,
        "PRIVATE_API_SECRET": addresses.private_api_secret,
        "PRIVATE_API_VERIFY_RESPONSE": "required",
        "PUBLIC_BASE_URL": f"https://{HOST}",
        "CORS_ORIGINS": f"https://{HOST}",
        "WEB_CONCURRENCY": "1",
        "WEB_THREADS": str(THREADS),
        "LOG_LEVEL": "INFO",
        "RATE_LIMIT_GENERAL": "off",
    }


def create_log_table(database_url: str) -> None:
    """The one table of a server that is not the gateway."""
    connection = psycopg2.connect(database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS predictions")
            cursor.execute(floor.TABLE)
    finally:
        connection.close()


def floor_target(addresses: Addresses) -> Target:
    """The floor with its one table."""
    create_log_table(addresses.database_url)
    environment = production_environment(addresses)
    return Target("floor", gunicorn(FLOOR), environment, lambda count, _tier: plain_tokens(environment, count))


def gateway_target(addresses: Addresses) -> Target:
    """Ours. Making the first tokens migrates the database."""
    environment = production_environment(addresses)
    return Target("gateway", gunicorn(GATEWAY), environment, partial(gateway_tokens, environment))
