"""Group commit: requests that finish at the same time share one transaction, and each is answered only after it is durable."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from database.shared_trips import SharedTrips, TripNotBegun, TripNotCompleted

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST_BATCH = 200
LONGEST_WAIT_SECONDS = 15.0
ABOUT_THE_ROW = (psycopg2.IntegrityError, psycopg2.DataError)


class GroupCommit(Generic[Item, Result]):
    """One writer per process, on one connection of its own that is opened when it is first needed.

    `write` gets a connection in autocommit mode and writes all items in ONE transaction that is over when it returns; the
    results stand in the order of the items. A batch that the server refuses for what is in it is written again item by item, so
    that one bad row fails alone. What may be the fault of the connection (its prepared statement no longer fits the schema, or
    a pooler gave it another session) is tried once more on a new one.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        write: Callable[[Connection, Sequence[Item]], Sequence[Result]],
        *,
        prepare: Callable[[Connection], None] | None = None,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        """`prepare` runs once on each new connection, for prepared statements."""
        self._connect = connect
        self._prepare = prepare
        self._write = write
        self._trips: SharedTrips[Item, Result] = SharedTrips(self._write_batch, largest_batch)
        self._connection: Connection | None = None

    def submit(self, item: Item) -> Result:
        """Returns after the commit that holds the item. Raises psycopg2.Error for a bad item, and TripNotCompleted: the item may
        be written or not, so what is written must be safe to write again.
        """
        return self._trips.submit(item, LONGEST_WAIT_SECONDS)

    def submit_within(self, item: Item, seconds: float) -> Result:
        """The same, but never later."""
        return self._trips.submit_within(item, seconds)

    def close(self) -> None:
        """Close the connection, for a clean shutdown. The next item opens a new one."""
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _write_batch(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        was_open = self._connection is not None
        try:
            connection = self._open()
        except psycopg2.Error as error:
            return [TripNotBegun(type(error).__name__) for _ in items]
        try:
            return self._write(connection, items)
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            self.close()
            return [TripNotCompleted(type(error).__name__) for _ in items]
        except psycopg2.Error as error:
            if was_open and not isinstance(error, ABOUT_THE_ROW):
                self.close()
                return self._write_batch(items)
            if len(items) == 1:
                return [error]
            return [outcome for item in items for outcome in self._write_batch([item])]

    def _open(self) -> Connection:
        if self._connection is None:
            connection = self._connect()
            try:
                connection.autocommit = True
                if self._prepare is not None:
                    self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection
