"""What waits to be sent to one client."""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

Sent = TypeVar("Sent")

MOST_BYTES = 256 * 1024
OF_EACH = 256
"""What each costs beside its text."""


class SendQueue(Generic[Sent]):
    """Has of asyncio.Queue what engine.io calls, whose own has no bound. `None` is the end: nothing is taken after it.

    `size` tells the bytes of one.
    """

    def __init__(self, size: Callable[[Sent], int]) -> None:
        self.ended = False
        self._size = size
        self._waiting: deque[tuple[float, int, Sent]] = deque()
        self._bytes = 0
        self._something, self._room = asyncio.Event(), asyncio.Event()

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    @property
    def is_full(self) -> bool:
        return self._bytes >= MOST_BYTES and not self.ended

    @property
    def waits_since(self) -> float | None:
        """Since when the oldest one has been waiting, on the monotonic clock."""
        return self._waiting[0][0] if self._waiting else None

    async def room(self) -> None:
        """For whoever may wait. The other half stays free for what may not, and would close a client that is slow but alive."""
        await self._below(MOST_BYTES // 2)

    async def put(self, sent: Sent | None) -> None:
        if sent is not None:
            await self._below(MOST_BYTES)
        self.put_nowait(sent)

    def put_nowait(self, sent: Sent | None) -> None:
        """Also when it is full: whoever may not wait looks first."""
        if sent is None:
            self.ended = True
            self._room.set()
        elif not self.ended:
            size = OF_EACH + self._size(sent)
            self._bytes += size
            self._waiting.append((monotonic(), size, sent))
        self._something.set()

    async def _below(self, most: int) -> None:
        while self._bytes >= most and not self.ended:
            self._room.clear()
            await self._room.wait()

    async def get(self) -> Sent | None:
        while not self._waiting and not self.ended:
            self._something.clear()
            await self._something.wait()
        return self.get_nowait()

    def get_nowait(self) -> Sent | None:
        """Raises asyncio.QueueEmpty."""
        if self._waiting:
            _, size, sent = self._waiting.popleft()
            self._bytes -= size
            self._room.set()
            return sent
        if self.ended:
            return None
        raise asyncio.QueueEmpty

    def task_done(self) -> None:
        """Nobody waits for that."""

    async def join(self) -> None:
        """Nobody waits for that."""
