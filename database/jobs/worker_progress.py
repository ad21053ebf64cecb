"""What a worker last did, told by its event loop and its jobs' threads, and read by the threads that watch it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class WorkerProgress:
    """A worker that has a free slot asks for a job every few seconds; one whose slots are all taken waits for a job to end.

    So it stands still when it did not ask although it had a free slot, or when no job ended for `longest_job` seconds.
    """

    def __init__(self, concurrency: int, longest_job: float) -> None:
        self._concurrency = concurrency
        self._longest_job = longest_job
        self._lock = threading.Lock()
        self._running = 0
        self._last = time.monotonic()
        self._answers: tuple[float, float] | None = None

    @property
    def running(self) -> int:
        return self._running

    def asked(self) -> None:
        """PostgreSQL has just given the worker a job, or said that none is due."""
        with self._lock:
            self._last = time.monotonic()

    @contextmanager
    def job(self) -> Iterator[None]:
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._running += change
            self._last = time.monotonic()

    def answered(self, longest_gap: float) -> None:
        """PostgreSQL has just answered another connection of this process. After `longest_gap` seconds it counts as back anew."""
        now = time.monotonic()
        since, last = self._answers or (now, now)
        self._answers = (since if now - last <= longest_gap else now, now)

    def unanswered(self) -> None:
        self._answers = None

    def silence(self) -> float:
        """Seconds since the last sign of life."""
        with self._lock:
            silent = time.monotonic() - self._last
            busy = self._running >= self._concurrency
        return 0.0 if busy and silent < self._longest_job else silent

    def standing_still(self) -> float:
        """The same, without the time in which PostgreSQL did not answer this process at all."""
        answers = self._answers
        return 0.0 if answers is None else max(0.0, min(self.silence(), answers[1] - answers[0]))
