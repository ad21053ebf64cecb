"""A stand-in's own clock: real time until somebody moves it forward."""

from datetime import UTC, datetime, timedelta
from threading import Lock

from sandbox.clock import Clock, utc_now

MILLISECOND = timedelta(milliseconds=1)


class StoreClock:
    """Callable like every clock of the project, so it can be handed to the application under test as well."""

    def __init__(self, source: Clock = utc_now) -> None:
        self._source = source
        self._ahead = timedelta()
        self._last_signed = 0
        self._lock = Lock()

    def __call__(self) -> datetime:
        return self._source() + self._ahead

    def move_to(self, moment: datetime) -> None:
        """Forward only: a moment that has passed changes nothing."""
        with self._lock:
            self._ahead += max(moment - self(), timedelta())

    def signing_time(self) -> int:
        """Milliseconds since 1970, later at every call, so that of two signed facts one is always the newer."""
        with self._lock:
            self._last_signed = max(milliseconds(self()), self._last_signed + 1)
            return self._last_signed


def milliseconds(moment: datetime) -> int:
    """Apple's unit of time: milliseconds since 1970."""
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / MILLISECOND)
