"""How many requests of a process wait for a reply or follow one: each has a thread as long as it does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from security.edge.problems import TooBusy


class ReaderSlots:
    """Beside those of `operation(within=...)`, which a request gives back when its stream begins."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._lock = threading.Lock()

    def take(self) -> None:
        """Raises TooBusy."""
        with self._lock:
            if self.taken >= self.most:
                raise TooBusy
            self.taken += 1

    def give_back(self) -> None:
        with self._lock:
            self.taken -= 1

    @contextmanager
    def until_failure(self) -> Iterator[None]:
        """Taken for what gives it back by itself, unless the block raises."""
        self.take()
        try:
            yield
        except BaseException:
            self.give_back()
            raise
