"""The threads that answer requests."""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from threading import Thread


class RequestThreads:
    """At most so many, each started when it is first needed. A `ThreadPoolExecutor` makes a Future for every request, which
    costs twice as much as handing it over.

    `submit` is called by one thread alone, and what it is given must not raise. `around` is entered by each thread at its start.
    """

    def __init__(self, most: int, around: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self._most = most
        self._around = around
        self._started = 0
        self._idle: deque[None] = deque()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, work: Callable[[], None]) -> None:
        try:
            self._idle.pop()
        except IndexError:
            if self._started < self._most:
                self._started += 1
                Thread(target=self._run, daemon=True).start()
        self._work.put(work)

    def shutdown(self, wait: bool = False) -> None:
        """Each ends when it has nothing left to do. They are not waited for: gunicorn gives a process a time to stop in."""
        for _ in range(self._started):
            self._work.put(None)

    def _run(self) -> None:
        with self._around():
            while (work := self._work.get()) is not None:
                work()
                self._idle.append(None)
