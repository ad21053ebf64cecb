"""The connection of a process's group commit: its own, beside the pool's."""

from collections.abc import Callable

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from database.engine import EngineOptions, engine_options, libpq_url


def writer_connection(url: str, options: EngineOptions) -> Callable[[], Connection]:
    """Opens connections with the time limits of the pool's."""
    arguments = engine_options(options)["connect_args"]

    def connect() -> Connection:
        opened: Connection = psycopg2.connect(libpq_url(url), **arguments)
        return opened

    return connect
