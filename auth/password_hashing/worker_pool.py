"""Where bcrypt and Argon2id run: few threads of low priority, so that a storm of sign-ins cannot starve the rest of the process."""

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

from security.edge.problems import DependencyUnavailable
from settings.web_server import usable_cores

Result = TypeVar("Result")

NICENESS = 15


class PasswordWorkBusy(DependencyUnavailable):
    error, title = "busy", "Too many people are signing in right now. Try again in a few seconds"


class PasswordWork:
    """Runs password hashing in `threads` threads, by default one for each core: bcrypt releases the interpreter lock.

    Known devices share these and have one thread more, which no stranger gets: a storm of sign-ins leaves it to owners.

    A caller waits about `wait_seconds` for a thread, and at most `waiting_limit` callers of each kind wait at all; beyond
    that PasswordWorkBusy is raised. Linux gives every thread its own niceness; elsewhere the priority stays as it is.
    """

    def __init__(self, *, threads: int | None = None, wait_seconds: float = 2.0, waiting_limit: int = 64) -> None:
        threads = threads or usable_cores()
        self._pool = ThreadPoolExecutor(threads + 1, thread_name_prefix="password", initializer=_lower_priority)
        self._free_threads = threading.Semaphore(threads + 1)
        self._free_for_strangers = threading.Semaphore(threads)
        self._places = threading.Semaphore(threads + waiting_limit)
        self._places_of_known_devices = threading.Semaphore(threads + 1 + waiting_limit)
        self._wait_seconds = wait_seconds
        self._own = threading.local()

    @contextmanager
    def slot(self, *, known_device: bool = False) -> Iterator[None]:
        """Wait for a thread and keep it for the block: what is run in it meanwhile need not wait again.

        Raises PasswordWorkBusy. Whoever is refused has done nothing else yet, if the block holds all the work.
        """
        if getattr(self._own, "has_slot", False):
            yield
            return
        # Not all for the same time: those who came together must not be refused, and come again, together.
        until = time.monotonic() + self._wait_seconds * random.uniform(0.75, 1.25)  # noqa: S311
        with ExitStack() as held:
            if known_device:
                _take(self._places_of_known_devices, held)
            else:
                _take(self._places, held)
                _take(self._free_for_strangers, held, until)
            _take(self._free_threads, held, until)
            self._own.has_slot = True
            held.callback(setattr, self._own, "has_slot", False)
            yield

    def run(self, work: Callable[[], Result]) -> Result:
        """Raises PasswordWorkBusy."""
        with self.slot():
            return self._pool.submit(work).result()


def _take(places: threading.Semaphore, held: ExitStack, until: float | None = None) -> None:
    """Hold one place, waiting for it `until` then or not at all. Raises PasswordWorkBusy."""
    taken = places.acquire(
        blocking=until is not None, timeout=None if until is None else max(0, until - time.monotonic())
    )
    if not taken:
        raise PasswordWorkBusy
    held.callback(places.release)


def _lower_priority() -> None:
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
