"""What waits to be sent to one client. That of engine.io has no bound."""

import asyncio
from collections import deque
from time import monotonic

from engineio.packet import Packet

MOST_BYTES = 256 * 1024
OF_A_PACKET = 256
"""What each costs beside its text."""


class SendQueue:
    """Has of asyncio.Queue what engine.io calls. `None` is the end: nothing is taken after it."""

    def __init__(self) -> None:
        self.ended = False
        self._waiting: deque[tuple[float, int, Packet]] = deque()
        self._bytes = 0
        self._something, self._room = asyncio.Event(), asyncio.Event()

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

    async def put(self, packet: Packet | None) -> None:
        if packet is not None:
            await self._below(MOST_BYTES)
        self.put_nowait(packet)

    def put_nowait(self, packet: Packet | None) -> None:
        """Also when it is full: whoever may not wait looks first."""
        if packet is None:
            self.ended = True
            self._room.set()
        elif not self.ended:
            size = OF_A_PACKET + (len(packet.data) if isinstance(packet.data, str | bytes) else 0)
            self._bytes += size
            self._waiting.append((monotonic(), size, packet))
        self._something.set()

    async def _below(self, most: int) -> None:
        while self._bytes >= most and not self.ended:
            self._room.clear()
            await self._room.wait()

    async def get(self) -> Packet | None:
        while not self._waiting and not self.ended:
            self._something.clear()
            await self._something.wait()
        return self.get_nowait()

    def get_nowait(self) -> Packet | None:
        """Raises asyncio.QueueEmpty."""
        if self._waiting:
            _, size, packet = self._waiting.popleft()
            self._bytes -= size
            self._room.set()
            return packet
        if self.ended:
            return None
        raise asyncio.QueueEmpty

    def task_done(self) -> None:
        """Nobody waits for that."""

    async def join(self) -> None:
        """Nobody waits for that."""
