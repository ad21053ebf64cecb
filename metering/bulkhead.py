"""How many calls of one upstream a process holds at once, and who is turned away first when it fills up."""

import math
import threading

from metering.breaker import REDUCED_CAPACITY
from security.edge.problems import Problem, retry_after

LONGEST_WAIT_SECONDS = 0.25


class TooManyInFlight(Problem):
    """This process holds as many calls as it may for this tier. Nothing was reserved or charged."""

    status, error, title = 503, "service_unavailable", "The service is busy right now"
    type = REDUCED_CAPACITY

    def __init__(self) -> None:
        super().__init__(headers=retry_after(1))


class Bulkhead:
    """`size` places. It stays below the number of threads, so that sign-in, usage and health always find one."""

    def __init__(self, size: int, longest_wait: float = LONGEST_WAIT_SECONDS) -> None:
        """`longest_wait`: seconds that a caller waits for a place before it is refused."""
        if size < 1:
            raise ValueError("a bulkhead has at least one place")
        self.size = size
        self._longest_wait = longest_wait
        self._taken = 0
        self._waiting = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def enter(self, share: float) -> None:
        """Take a place while less than `share` (0 to 1) of all places are taken. Raises TooManyInFlight."""
        most = max(1, math.floor(self.size * share))
        with self._lock:
            if self._taken >= most:
                self._waiting += 1
                try:
                    if not self._changed.wait_for(lambda: self._taken < most, self._longest_wait):
                        raise TooManyInFlight
                finally:
                    self._waiting -= 1
            self._taken += 1

    def leave(self) -> None:
        with self._lock:
            self._taken -= 1
            if self._waiting:
                # All are woken, because one who is waiting may have a smaller share than the next.
                self._changed.notify_all()

    @property
    def taken(self) -> int:
        return self._taken
