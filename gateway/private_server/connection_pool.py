"""Idle connections to the private server, of one process."""

from collections import deque
from time import monotonic

from gateway.private_server.http_connection import HttpConnection

LONGEST_IDLE_SECONDS = 30.0


class ConnectionPool:
    """Last in, first out: what was used a moment ago is most likely still open, and a surplus grows old and is closed.

    How many are in use at once is the bulkhead's matter. Appending to and popping from a deque is atomic, so no lock.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._idle: deque[HttpConnection] = deque()

    def take(self) -> HttpConnection | None:
        """An idle connection that the other side has not closed, as far as can be seen; None when a new one is needed."""
        oldest = monotonic() - LONGEST_IDLE_SECONDS
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.idle_since > oldest and connection.is_quiet():
                return connection
            connection.close()

    def give_back(self, connection: HttpConnection) -> None:
        if len(self._idle) >= self._largest:
            connection.close()
            return
        connection.idle_since = monotonic()
        self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle: before a shutdown, or when one connection turned out to be dead."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return
