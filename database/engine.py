"""How the process speaks to PostgreSQL: the URL's dialect, the time limits of every session, the size of the pool."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from database.prepared_statement import PooledConnection

MINIMUM_SERVER_VERSION = 15
SILENCE_MILLISECONDS = 5_000
"""A server that does not acknowledge what was sent is given up. Otherwise a lost route holds its thread for a quarter of an hour."""


@dataclass(frozen=True)
class EngineOptions:
    """Limits of one process's PostgreSQL sessions. Times are seconds."""

    pool_size: int = 10
    pool_timeout: float = 5.0
    statement_timeout: float = 5.0
    lock_timeout: float = 3.0
    application_name: str = "mirroros"
    read_only: bool = False
    ask_first: bool = False
    """Before a pooled connection is used again, ask whether it still answers."""
    pooled: bool = False
    """The URL leads to PgBouncer in transaction mode, which takes no time limits: it, or the role, must set them itself."""


def sqlalchemy_url(url: str) -> str:
    """Map `postgres://` (Heroku) and `postgresql://`, whatever driver it names, to the psycopg2 dialect.

    SQLAlchemy 2.1 reads `postgresql://` as psycopg 3, and `postgres://` not at all. Raises ValueError for any other scheme.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg2", "postgresql+asyncpg"}:
        raise ValueError("DATABASE_URL must begin with postgresql:// or postgres://")
    return f"postgresql+psycopg2://{rest}"


def libpq_url(url: str) -> str:
    """The same address in the form that psycopg 3 and the PostgreSQL tools read."""
    return "postgresql://" + sqlalchemy_url(url).partition("://")[2]


def engine_options(options: EngineOptions) -> dict[str, Any]:
    """`SQLALCHEMY_ENGINE_OPTIONS`. Every wait has an end, so that a stuck server cannot hold all threads."""
    session = {
        "statement_timeout": f"{round(options.statement_timeout * 1000)}",
        "lock_timeout": f"{round(options.lock_timeout * 1000)}",
        "idle_in_transaction_session_timeout": "15000",
        "timezone": "UTC",
        **({"default_transaction_read_only": "on"} if options.read_only else {}),
    }
    return {
        "pool_size": options.pool_size,
        "max_overflow": 0,
        "pool_timeout": options.pool_timeout,
        "pool_pre_ping": options.ask_first,
        "pool_recycle": 1800,
        # Otherwise the text of a database error, and so its traceback in the log, holds every bound value.
        "hide_parameters": True,
        "connect_args": {
            "application_name": options.application_name,
            "connect_timeout": 3,
            "tcp_user_timeout": SILENCE_MILLISECONDS,
            **(
                {} if options.pooled else {"options": " ".join(f"-c {name}={value}" for name, value in session.items())}
            ),
        },
    }


def writer_connection(url: str, options: EngineOptions) -> Callable[[], Connection]:
    """Opens connections beside the pool's, with the same time limits, for the group commits of a process."""
    kind = PooledConnection if options.pooled else Connection
    return partial(psycopg2.connect, libpq_url(url), connection_factory=kind, **engine_options(options)["connect_args"])
