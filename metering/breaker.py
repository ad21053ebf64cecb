"""A circuit breaker for one upstream, kept per process: closed state costs a lock and no I/O."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from time import monotonic
from uuid import UUID

from security.edge.problems import Problem, retry_after

REDUCED_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


class BreakerIsOpen(Problem):
    """The upstream failed too often a moment ago. Nothing was reserved or charged."""

    status, error, title = 503, "service_unavailable", "This service is not responding right now"
    type = REDUCED_CAPACITY

    def __init__(self, seconds: float) -> None:
        super().__init__(headers=retry_after(seconds))


class HealthSign(Enum):
    """What one call says about its upstream. Whatever may depend on the one question says nothing."""

    GOOD = "good"
    """An answer of the 4xx kind proves that the server works."""
    BAD = "bad"
    """A timeout, a 5xx answer or a connection that was lost. The question may be to blame, so it is this user's."""
    UNREACHABLE = "unreachable"
    """No connection came about, which no user can cause."""
    UNKNOWN = "unknown"
    """The call never left, or the answer to it cannot be used."""


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class BreakerRules:
    """When it opens and for how long. Times are seconds.

    `users`: how many must have seen failures. A free user has two calls at once and twenty failures an hour, so that with
    five neither one tenant nor a few accounts together close the service for others.
    """

    window: int = 10
    least_calls: int = 10
    failing_share: float = 0.5
    users: int = 5
    connect_failures: int = 5
    first_rest: float = 5.0
    longest_rest: float = 60.0


@dataclass(slots=True)
class Ticket:
    """Leave for one call of a user. `generation`: of the breaker's state that it was given in."""

    user: UUID
    generation: int


@dataclass(slots=True)
class _Second:
    """What ended in one second. `users` saw failures; failed connections are nobody's."""

    calls: int = 0
    failures: int = 0
    connect_failures: int = 0
    users: set[UUID] = field(default_factory=set)


class Breaker:
    """Opens when half of at least ten calls within ten seconds failed, for five users or more; or when five connections failed
    in a row. No user can make a connection fail, so each of them weighs as much as a user.

    After a rest up to five users may make one call each: the first success closes the breaker, and it rests again, twice as
    long, when all five failed or a connection did. So one user's calls cannot keep it open either.
    Every `admit()` is answered by exactly one `judge()`, with the ticket it gave.
    """

    def __init__(self, rules: BreakerRules | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._rules = rules or BreakerRules()
        self._clock = clock
        self._lock = threading.Lock()
        self._seconds: dict[int, _Second] = {}
        self._connect_failures = 0
        self._open_until: float | None = None
        self._rest = self._rules.first_rest
        self._probing: set[UUID] = set()
        self._probes_until = 0.0
        self._probes_failed: set[UUID] = set()
        self._generation = 0

    def admit(self, user: UUID) -> Ticket:
        """Raises BreakerIsOpen."""
        with self._lock:
            if self._open_until is not None:
                self._admit_probe(user, self._open_until)
            return Ticket(user, self._generation)

    def judge(self, ticket: Ticket, sign: HealthSign) -> None:
        """Say how the call of a ticket ended, once."""
        with self._lock:
            if ticket.generation != self._generation:
                return  # it began before the breaker changed, so it says nothing about now
            if sign is HealthSign.UNKNOWN:
                self._probing.discard(ticket.user)
                return
            if self._open_until is not None:
                self._judge_probe(ticket.user, sign)
                return
            second = self._second()
            second.calls += 1
            if sign is HealthSign.GOOD:
                self._connect_failures = 0
                return
            second.failures += 1
            if sign is HealthSign.BAD:
                self._connect_failures = 0
                second.users.add(ticket.user)
            else:
                second.connect_failures += 1
                self._connect_failures += 1
            if self._connect_failures >= self._rules.connect_failures or self._many_fail():
                self._open()

    def state(self) -> BreakerState:
        with self._lock:
            if self._open_until is None:
                return BreakerState.CLOSED
            return BreakerState.OPEN if self._open_until > self._clock() else BreakerState.HALF_OPEN

    def _admit_probe(self, user: UUID, open_until: float) -> None:
        now = self._clock()
        if now < open_until:
            raise BreakerIsOpen(max(open_until - now, 1.0))
        if now >= self._probes_until:  # those of before may still hang
            self._probing.clear()
            self._probes_until = now + self._rules.window
        if user in self._probing or len(self._probing) >= self._rules.users:
            raise BreakerIsOpen(max(self._probes_until - now, 1.0))
        self._probing.add(user)

    def _judge_probe(self, user: UUID, sign: HealthSign) -> None:
        if sign is HealthSign.GOOD:
            self._open_until, self._rest = None, self._rules.first_rest
            self._begin_anew()
            return
        self._probes_failed.add(user)
        if sign is HealthSign.UNREACHABLE or len(self._probes_failed) >= self._rules.users:
            self._rest = min(self._rest * 2, self._rules.longest_rest)
            self._open()

    def _many_fail(self) -> bool:
        seconds = self._seconds.values()
        calls = sum(second.calls for second in seconds)
        failures = sum(second.failures for second in seconds)
        if calls < self._rules.least_calls or failures < calls * self._rules.failing_share:
            return False
        users = set[UUID]().union(*(second.users for second in seconds))
        return len(users) + sum(second.connect_failures for second in seconds) >= self._rules.users

    def _open(self) -> None:
        # Jitter, so that many processes do not probe at the same moment.
        self._open_until = self._clock() + self._rest * random.uniform(0.9, 1.1)  # noqa: S311
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._connect_failures = 0
        self._seconds.clear()
        self._probing.clear()
        self._probes_until = 0.0
        self._probes_failed.clear()
        self._generation += 1

    def _second(self) -> _Second:
        number = int(self._clock())
        second = self._seconds.get(number)
        if second is None:
            oldest = number - self._rules.window
            for past in [past for past in self._seconds if past <= oldest]:
                del self._seconds[past]
            second = self._seconds[number] = _Second()
        return second
