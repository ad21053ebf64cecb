"""The connection of a process's group commit: its own, beside the pool's."""

from collections.abc import Callable

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from database.engine import EngineOptions, engine_options, libpq_url

SILENCE_MILLISECONDS = 5_000


def writer_connection(url: str, options: EngineOptions) -> Callable[[], Connection]:
    """Opens connections with the time limits of the pool's. A server that goes silent is given up after five seconds.

    Without that limit the one writer would hang on a lost route until the kernel gives up, a quarter of an hour later.
    """
    arguments = engine_options(options)["connect_args"]

    def connect() -> Connection:
        opened: Connection = psycopg2.connect(libpq_url(url), tcp_user_timeout=SILENCE_MILLISECONDS, **arguments)
        return opened

    return connect
