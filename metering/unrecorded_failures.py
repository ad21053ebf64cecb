"""Failures that PostgreSQL could not be told of in time, so that they count at least in this process."""

import threading

from metering.limits import Ask


class UnrecordedFailures:
    """Of the present hour; the next one begins with nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hour = ""
        self._failed: dict[tuple[str, str], int] = {}

    def add(self, ask: Ask, times: int) -> None:
        with self._lock:
            if ask.hour.name > self._hour:
                self._hour = ask.hour.name
                self._failed.clear()
            if ask.hour.name == self._hour:
                key = (ask.user_id.hex, ask.feature)
                self._failed[key] = self._failed.get(key, 0) + times

    def of(self, ask: Ask) -> int:
        if not self._failed:
            return 0
        with self._lock:
            return self._failed.get((ask.user_id.hex, ask.feature), 0) if ask.hour.name == self._hour else 0
