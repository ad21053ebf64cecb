"""The calls of this process that only Redis knows of, so that they can be written to PostgreSQL when Redis is left."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from psycopg2.extras import execute_values

from database.redis_epoch import StillAsking

ANSWER_WAIT_SECONDS = 0.2
SETTLE_WAIT_SECONDS = 1.0
PURGE_SECONDS = 60.0


@dataclass(slots=True)
class Call:
    """`day` is None until Redis has granted the call. `settling_since` is monotonic time, None while the call runs.

    `published`: a row in PostgreSQL may hold it. `written`: the commit of that row is known to have succeeded.
    """

    epoch: int
    user_id: UUID
    feature: str
    lease_ends: float
    day: date | None = None
    settling_since: float | None = None
    published: bool = False
    written: bool = False


class CallsInFlight:
    """All methods are safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._publishing = False
        self._calls: dict[UUID, Call] = {}
        self._first_epoch = 0
        self._purge_at = 0.0

    def ask(self, request_id: UUID, call: Call) -> bool:
        """Note a call before Redis is asked for it. False when this process is leaving, or has left, that epoch."""
        with self._lock:
            if call.epoch < self._first_epoch:
                return False
            if call.lease_ends > self._purge_at:
                self._purge(time.monotonic())
                self._purge_at = call.lease_ends + PURGE_SECONDS
            self._calls.setdefault(request_id, call)
            return True

    def not_granted(self, request_id: UUID, call: Call) -> None:
        """Redis refused or failed. A call of the same name that was granted before stays."""
        with self._lock:
            if self._calls.get(request_id) is call:
                del self._calls[request_id]
            self._tell_publisher()

    def granted(self, request_id: UUID, day: date) -> None:
        with self._lock:
            self._calls[request_id].day = day
            self._tell_publisher()

    def settling(self, request_id: UUID) -> bool:
        """The call is about to be counted. True when a row in PostgreSQL may hold it."""
        with self._lock:
            call = self._calls.get(request_id)
            if call is None or call.published:
                return True
            call.settling_since = time.monotonic()
            return False

    def forget(self, request_id: UUID) -> bool:
        """The call is over. True when a row in PostgreSQL may still hold it."""
        with self._lock:
            call = self._calls.pop(request_id, None)
            self._tell_publisher()
            return call is not None and call.published

    @contextmanager
    def publish(self, cursor: Any, epoch: int) -> Iterator[None]:
        """Write the calls as reservations; from now on no call is asked for in an epoch before `epoch`.

        Until the block ends, no call is asked for, settled or released.

        Raises StillAsking when Redis has not answered every question within a moment. A call whose counting is under way
        is waited for, so that it is not counted twice; when that takes too long it is written as well, which only errs
        towards a refusal.
        """
        with self._lock:
            self._first_epoch = max(self._first_epoch, epoch)
            self._publishing = True
            try:
                self._wait_until_known()
            finally:
                self._publishing = False
            now = time.monotonic()
            self._purge(now)
            unwritten = {name: call for name, call in self._calls.items() if not call.written}
            rows = [
                (str(name), str(call.user_id), call.feature, call.day, call.lease_ends - now)
                for name, call in unwritten.items()
            ]
            for call in unwritten.values():
                call.published = True
            if rows:
                execute_values(
                    cursor,
                    "INSERT INTO usage_reservations (request_id, user_id, feature, day, lease_until, created_at)"
                    " VALUES %s ON CONFLICT (request_id) DO NOTHING",
                    rows,
                    "(%s, %s, %s, %s, clock_timestamp() + %s * interval '1 second', clock_timestamp())",
                )
            yield
            for call in unwritten.values():
                call.written = True

    def _tell_publisher(self) -> None:
        if self._publishing:
            self._changed.notify_all()

    def _purge(self, now: float) -> None:
        """Forget calls whose end nobody could tell (the settling failed); they stopped counting when their lease ended."""
        self._calls = {name: call for name, call in self._calls.items() if call.lease_ends > now}

    def _wait_until_known(self) -> None:
        answers_by = time.monotonic() + ANSWER_WAIT_SECONDS
        while True:
            now = time.monotonic()
            asking = any(call.day is None for call in self._calls.values())
            settling = any(
                call.settling_since is not None and not call.written and now - call.settling_since < SETTLE_WAIT_SECONDS
                for call in self._calls.values()
            )
            if asking and now > answers_by:
                raise StillAsking
            if not asking and not settling:
                return
            self._changed.wait(0.05)
