"""A circuit breaker for one private server, kept per process: closed state costs a lock and no I/O."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic

from security.problems import Problem, retry_after

REDUCED_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


class BreakerIsOpen(Problem):
    """The private server failed too often a moment ago. Nothing was reserved or charged."""

    status, error, title = 503, "service_unavailable", "The prediction service is not answering right now"
    type = REDUCED_CAPACITY

    def __init__(self, seconds: float) -> None:
        super().__init__(headers=retry_after(seconds))


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class BreakerRules:
    """When it opens and for how long. Times are seconds."""

    window: int = 10
    least_calls: int = 10
    failing_share: float = 0.5
    connect_failures: int = 5
    first_rest: float = 5.0
    longest_rest: float = 60.0


class Breaker:
    """Opens at half of at least ten calls failed within ten seconds, or five connections failed in a row.

    After a rest one call is let through as a probe; its success closes the breaker, its failure doubles the rest.
    Every `admit()` is answered by exactly one of `succeeded`, `failed`, `not_connected` and `not_judged`, with the ticket it gave.
    """

    def __init__(self, rules: BreakerRules | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._rules = rules or BreakerRules()
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[int, list[int]] = {}
        self._connect_failures = 0
        self._open_until: float | None = None
        self._rest = self._rules.first_rest
        self._probing = False
        self._generation = 0

    def admit(self) -> int:
        """A ticket for one call. Raises BreakerIsOpen."""
        with self._lock:
            if self._open_until is not None:
                left = self._open_until - self._clock()
                if left > 0 or self._probing:
                    raise BreakerIsOpen(max(left, 1.0))
                self._probing = True
            return self._generation

    def succeeded(self, ticket: int) -> None:
        with self._lock:
            if ticket != self._generation:
                return  # it began before the breaker changed, so it says nothing about now
            self._connect_failures = 0
            if self._open_until is None:
                self._bucket()[0] += 1
                return
            self._open_until, self._probing, self._rest = None, False, self._rules.first_rest
            self._buckets.clear()
            self._generation += 1

    def failed(self, ticket: int) -> None:
        """Count a timeout, a 5xx answer or one that cannot be used."""
        self._fail(ticket, connecting=False)

    def not_connected(self, ticket: int) -> None:
        """Count a connection that did not come about."""
        self._fail(ticket, connecting=True)

    def not_judged(self, ticket: int) -> None:
        """The call said nothing about the server's health (it never left, or a 4xx came back)."""
        if self._probing:
            with self._lock:
                if ticket == self._generation:
                    self._probing = False

    def state(self) -> BreakerState:
        with self._lock:
            if self._open_until is None:
                return BreakerState.CLOSED
            return BreakerState.OPEN if self._open_until > self._clock() else BreakerState.HALF_OPEN

    def _fail(self, ticket: int, *, connecting: bool) -> None:
        with self._lock:
            if ticket != self._generation:
                return
            if self._open_until is not None:
                self._rest = min(self._rest * 2, self._rules.longest_rest)
                self._open()
                return
            bucket = self._bucket()
            bucket[0] += 1
            bucket[1] += 1
            self._connect_failures = self._connect_failures + 1 if connecting else 0
            calls = sum(found[0] for found in self._buckets.values())
            failures = sum(found[1] for found in self._buckets.values())
            often = calls >= self._rules.least_calls and failures >= calls * self._rules.failing_share
            if often or self._connect_failures >= self._rules.connect_failures:
                self._open()

    def _open(self) -> None:
        # Jitter, so that many processes do not probe at the same moment.
        self._open_until = self._clock() + self._rest * random.uniform(0.9, 1.1)  # noqa: S311
        self._probing, self._connect_failures = False, 0
        self._buckets.clear()
        self._generation += 1

    def _bucket(self) -> list[int]:
        second = int(self._clock())
        bucket = self._buckets.get(second)
        if bucket is None:
            oldest = second - self._rules.window
            for past in [past for past in self._buckets if past <= oldest]:
                del self._buckets[past]
            bucket = self._buckets[second] = [0, 0]
        return bucket
