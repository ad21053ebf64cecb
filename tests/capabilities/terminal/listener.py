"""What the realtime process would hear."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import psycopg

LAST = "last_of_this_test"


class Listener:
    def __init__(self, connection: psycopg.Connection[Any], channel: str) -> None:
        self._connection = connection
        connection.execute(f"LISTEN {channel}")
        connection.execute(f"LISTEN {LAST}")

    def heard(self) -> list[str]:
        """Since the last time, in the order in which it was committed."""
        self._connection.execute(f"NOTIFY {LAST}")
        notices = self._connection.notifies(timeout=30)
        return [notice.payload for notice in takewhile(lambda notice: notice.channel != LAST, notices)]


@contextmanager
def listening(url: str, channel: str) -> Iterator[Listener]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield Listener(connection, channel)
