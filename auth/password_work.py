"""Where bcrypt runs: few threads of low priority, so that a storm of sign-ins cannot starve the rest of the process."""

import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from security.problems import DependencyUnavailable

Result = TypeVar("Result")

NICENESS = 15


class PasswordWorkBusy(DependencyUnavailable):
    error, title = "busy", "Too many sign-ins are being checked right now"


class PasswordWork:
    """Runs password hashing in `threads` threads, by default one for each core: bcrypt releases the interpreter lock.

    A caller waits about `wait_seconds` for a thread, and at most `waiting_limit` callers wait at all; beyond that
    PasswordWorkBusy is raised. Linux gives every thread its own niceness; elsewhere the priority stays as it is.
    """

    def __init__(self, *, threads: int | None = None, wait_seconds: float = 2.0, waiting_limit: int = 64) -> None:
        threads = threads or usable_cores()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password", initializer=_lower_priority)
        self._free_threads = threading.Semaphore(threads)
        self._places = threading.Semaphore(threads + waiting_limit)
        self._wait_seconds = wait_seconds
        self._own = threading.local()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a thread and keep it for the block: what is run in it meanwhile need not wait again.

        Raises PasswordWorkBusy. Whoever is refused has done nothing else yet, if the block holds all the work.
        """
        if getattr(self._own, "has_turn", False):
            yield
            return
        if not self._places.acquire(blocking=False):
            raise PasswordWorkBusy
        try:
            # Not all for the same time: those who came together must not be refused, and come again, together.
            if not self._free_threads.acquire(timeout=self._wait_seconds * random.uniform(0.75, 1.25)):  # noqa: S311
                raise PasswordWorkBusy
            self._own.has_turn = True
            try:
                yield
            finally:
                self._own.has_turn = False
                self._free_threads.release()
        finally:
            self._places.release()

    def run(self, work: Callable[[], Result]) -> Result:
        """Raises PasswordWorkBusy."""
        with self.turn():
            return self._pool.submit(work).result()


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _lower_priority() -> None:
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
