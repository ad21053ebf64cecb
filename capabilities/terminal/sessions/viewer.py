"""The output of a session on its way to one socket."""

import asyncio
from codecs import utf_8_decode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from capabilities.terminal.sessions.ring import Ring
from metering.sockets import Socket

MOST_WAITING: Final = 256 * 1024
"""Bytes that may be unsent, or sent and not acknowledged."""
MOST_OF_A_MESSAGE: Final = 16 * 1024
"""Bytes of output. JSON makes six of each at most, and a frame has 128 KiB."""
TOGETHER_SECONDS: Final = 0.004


class Viewer:
    """Sends what there is in `ring` from `place` on, in order, until it is stopped or has sent the last thing: see `finish`.

    The first output after a key goes at once; what follows within a few milliseconds shares a message.
    `made_room`: called when something was sent or acknowledged.
    """

    def __init__(self, session_id: str, socket: Socket, ring: Ring, place: int, made_room: Callable[[], None]) -> None:
        self.socket = socket
        self.sent = place
        self._session_id, self._ring, self._made_room = session_id, ring, made_room
        self._acknowledged: int | None = None
        self._last: dict[str, object] | None = None
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._at_once = True
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._news.set()
        self._task = socket.start(self._run())

    @property
    def is_behind(self) -> bool:
        """So much is unsent that its source should wait."""
        return self._ring.end - self.sent > MOST_WAITING

    def output_came(self) -> None:
        if self._at_once or self._loop.time() >= self._until:
            self._news.set()
        elif self._timer is None:
            self._timer = self._loop.call_at(self._until, self._look)

    def typed(self) -> None:
        self._at_once = True

    def acknowledge(self, place: int) -> None:
        """From the first time on, the client is waited for. One that knows no acknowledgements never is."""
        self._acknowledged = max(self._acknowledged or 0, min(place, self.sent))
        self._room.set()
        self._made_room()

    def finish(self, last: dict[str, object]) -> None:
        """There is no more output. `last` is sent after the rest of it."""
        self._last = last
        self._look()

    def stop(self) -> None:
        self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    @property
    def finished(self) -> bool:
        return self._last is not None and self._task.done()

    def _look(self) -> None:
        self._timer = None
        self._news.set()

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while await self._send_some():
                pass
            if self._last is not None and self.sent == self._ring.end:
                await self.socket.send("closed", self._last)
                return

    async def _send_some(self) -> bool:
        """False when there is nothing more to send: all was sent, but for a character of which a part is missing.

        Raises SocketClosed.
        """
        while self._acknowledged is not None and self.sent - self._acknowledged >= MOST_WAITING:
            self._room.clear()
            await self._room.wait()
        text, used = utf_8_decode(self._ring.read(self.sent, MOST_OF_A_MESSAGE), "replace", self._last is not None)
        if not used:
            return False
        self._at_once = False
        self.sent += used
        output = {"session_id": self._session_id, "data": text, "timestamp": datetime.now(UTC), "seq": self.sent}
        await self.socket.send("output", output)
        self._made_room()
        self._until = self._loop.time() + TOGETHER_SECONDS
        return True
