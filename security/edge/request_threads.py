"""The threads that answer requests."""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from threading import Lock, Thread

Work = Callable[[], None]


class RequestThreads:
    """At most so many, each started when it is first needed. The one that became idle last is asked first: its memory is
    still in the processor's caches. A `ThreadPoolExecutor` asks the one that has been idle longest, and makes a Future for
    every request, which costs twice as much as handing it over.

    What is submitted must not raise. `around` is entered by each thread at its start.
    """

    def __init__(self, most: int, around: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self._most = most
        self._around = around
        self._lock = Lock()
        self._threads: list[SimpleQueue[Work | None]] = []
        self._idle: list[SimpleQueue[Work | None]] = []
        self._waiting: deque[Work] = deque()

    @property
    def busy(self) -> int:
        return len(self._threads) - len(self._idle)

    def submit(self, work: Work) -> None:
        with self._lock:
            if self._idle:
                self._idle.pop().put(work)
                return
            if len(self._threads) == self._most:
                self._waiting.append(work)
                return
            handed: SimpleQueue[Work | None] = SimpleQueue()
            self._threads.append(handed)
        handed.put(work)
        Thread(target=self._run, args=(handed,), daemon=True).start()

    def shutdown(self, wait: bool = False) -> None:
        """Each ends when it is done with what it has. They are not waited for: gunicorn gives a process a time to stop in."""
        for handed in self._threads:
            handed.put(None)

    def _run(self, handed: SimpleQueue[Work | None]) -> None:
        with self._around():
            while (work := handed.get()) is not None:
                work()
                self._rest(handed)

    def _rest(self, handed: SimpleQueue[Work | None]) -> None:
        """Take what waits for a thread, or else wait oneself."""
        with self._lock:
            if self._waiting:
                handed.put(self._waiting.popleft())
            else:
                self._idle.append(handed)
