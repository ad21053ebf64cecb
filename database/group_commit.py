"""Group commit: requests that finish at the same time share one transaction, and each is answered only after it is durable.

Whoever finds nobody writing becomes the leader and writes everything that waits. There is no timer and no thread of its
own: a lone request commits at once, and under load the batch is what gathered while the commit before was under way.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST_BATCH = 200
LONGEST_WAIT_SECONDS = 15.0


class CommitNotConfirmed(Exception):
    """The server could not be reached, or the connection broke on the way: the item may be written or not.

    What is written must therefore be safe to write again.
    """


class GroupCommit(Generic[Item, Result]):
    """One writer per process, on one connection of its own that is opened when it is first needed.

    `write` gets a connection in autocommit mode and writes all items in ONE transaction that is over when it returns; the
    results stand in the order of the items. A batch that the server refuses for what is in it is written again item by item, so
    that one bad row fails alone.
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
        self._largest_batch = largest_batch
        self._lock = threading.Lock()
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._has_leader = False
        self._connection: Connection | None = None

    def submit(self, item: Item) -> Result:
        """Returns after the commit that holds the item. Raises CommitNotConfirmed, or psycopg2.Error for a bad item."""
        entry: _Entry[Item, Result] = _Entry(item)
        with self._lock:
            self._waiting.append(entry)
            leads, self._has_leader = not self._has_leader, True
        if not leads and not entry.wait():
            leads = self._give_up(entry)
        if leads or entry.leads:
            self._lead()
        return entry.outcome()

    def close(self) -> None:
        """Close the connection, for a clean shutdown. The next item opens a new one."""
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _give_up(self, entry: "_Entry[Item, Result]") -> bool:
        """The wait was too long. True when the entry was chosen to lead just now: then it must, or nobody would."""
        with self._lock:
            if entry.leads or entry.done:
                return entry.leads
            with suppress(ValueError):  # it is not in line when it is being written
                self._waiting.remove(entry)
        raise CommitNotConfirmed("the writer did not come back")

    def _lead(self) -> None:
        """Write what waits (the leader's own entry stands first in line), then pass the lead on."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._largest_batch))]
        try:
            self._write_batch(batch)
        finally:
            with self._lock:
                for entry in batch:
                    entry.finish()
                successor = self._waiting[0] if self._waiting else None
                self._has_leader = successor is not None
                if successor is not None:
                    successor.leads = True
            for entry in batch:
                entry.wake()
            if successor is not None:
                successor.wake()

    def _write_batch(self, batch: Sequence["_Entry[Item, Result]"]) -> None:
        try:
            results = self._write(self._open(), [entry.item for entry in batch])
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            self.close()
            for entry in batch:
                entry.error = CommitNotConfirmed(type(error).__name__)
        except psycopg2.Error as error:
            if len(batch) == 1:
                batch[0].error = error
            else:
                for entry in batch:
                    self._write_batch([entry])
        else:
            for entry, result in zip(batch, results, strict=True):
                entry.succeed(result)

    def _open(self) -> Connection:
        if self._connection is None:
            connection = self._connect()
            connection.autocommit = True
            if self._prepare is not None:
                self._prepare(connection)
            self._connection = connection
        return self._connection


class _Entry(Generic[Item, Result]):
    """One item in line. A bare lock is the cheapest thing that one thread can wait on."""

    __slots__ = ("_results", "_woken", "done", "error", "item", "leads")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.done = False
        self.leads = False
        self.error: Exception | None = None
        self._results: list[Result] = []
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self) -> bool:
        return self._woken.acquire(timeout=LONGEST_WAIT_SECONDS)

    def wake(self) -> None:
        self._woken.release()

    def succeed(self, result: Result) -> None:
        self._results.append(result)

    def finish(self) -> None:
        """The end of the entry's batch; without a result or an error the write was cut short."""
        self.done = True
        if not self._results and self.error is None:
            self.error = CommitNotConfirmed("the write was interrupted")

    def outcome(self) -> Result:
        if self.error is not None:
            raise self.error
        return self._results[0]
