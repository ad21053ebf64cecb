"""Failures that PostgreSQL could not be told of in time, so that they count at least in this process."""

import threading
from uuid import UUID


class UnrecordedFailures:
    """Of one UTC hour, counted since 1970; the next one begins with nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hour = 0
        self._failed: dict[tuple[UUID, str], int] = {}

    def add(self, user_id: UUID, feature: str, hour: int, times: int) -> None:
        with self._lock:
            if hour > self._hour:
                self._hour = hour
                self._failed.clear()
            if hour == self._hour:
                self._failed[user_id, feature] = self._failed.get((user_id, feature), 0) + times

    def of(self, user_id: UUID, feature: str, hour: int) -> int:
        with self._lock:
            return self._failed.get((user_id, feature), 0) if hour == self._hour else 0

    def is_empty(self) -> bool:
        return not self._failed
