"""The text of a reply while it grows, in the memory of this process.

The reply is one text and a position in it is a number of UTF-8 bytes. So any reader may take it up anywhere, from here, from
Redis or from its row, and whoever hands text on may cut and join it at will, between characters.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from capabilities.chat.replies.ended import Ended


class LiveText:
    """One writer at a time, any number of readers. `ended` is set after the last byte."""

    def __init__(self, text: bytes = b"", ended: Ended | None = None) -> None:
        self.ended = ended
        self._text = bytearray(text)
        self._lock = threading.Lock()
        self._watching: dict[object, Callable[[], None]] = {}

    def __len__(self) -> int:
        return len(self._text)

    @property
    def watched(self) -> int:
        """By how many readers."""
        return len(self._watching)

    def since(self, position: int, most: int | None = None) -> bytes:
        """`most`: so many bytes or fewer, whole characters."""
        end = len(self._text)
        if most is not None and position + most < end:
            end = position + most
            while self._text[end] & 0xC0 == 0x80:
                end -= 1
        return bytes(self._text[position:end])

    def append(self, piece: bytes) -> None:
        """Whole characters."""
        self._text += piece
        self._tell()

    def end(self, ended: Ended) -> None:
        self.ended = ended
        self._tell()

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """`told` is called after each change, by whoever made it, so it must not wait. Returns what ends it."""
        key = object()
        with self._lock:
            self._watching[key] = told

        def forget() -> None:
            with self._lock:
                self._watching.pop(key, None)

        return forget

    def _tell(self) -> None:
        with self._lock:
            watching = list(self._watching.values())
        for told in watching:
            told()


class Reader:
    """One thread that follows a text from a position on. It must be closed."""

    def __init__(self, text: LiveText, position: int = 0) -> None:
        self.text = text
        self.position = position
        self._told: SimpleQueue[None] = SimpleQueue()
        self._waits = False
        self.close = text.watch(self._wake)

    @property
    def ended(self) -> Ended | None:
        """How the reply ended, once all of it was read."""
        ended = self.text.ended
        return ended if len(self.text) <= self.position else None

    def read(self, seconds: float) -> bytes:
        """What is new, waited for at most so long. Empty when nothing came, or when the reply ended."""
        self._waits = True  # first, so that nothing that comes from here on is missed
        if not (piece := self.text.since(self.position)) and self.text.ended is None:
            try:
                self._told.get(timeout=max(0.0, seconds))
            except Empty:
                return b""
            piece = self.text.since(self.position)
        self.position += len(piece)
        return piece

    def take(self) -> bytes:
        """What is new, without waiting."""
        piece = self.text.since(self.position)
        self.position += len(piece)
        return piece

    def _wake(self) -> None:
        if self._waits:
            self._waits = False
            self._told.put(None)


class AsyncReader:
    """One coroutine that follows a text from a position on, on the loop on which it is made. It must be closed."""

    def __init__(self, text: LiveText, position: int = 0) -> None:
        self.text = text
        self.position = position
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()
        self._waits = False
        self.close = text.watch(self._wake)

    @property
    def ended(self) -> Ended | None:
        """How the reply ended, once all of it was read."""
        ended = self.text.ended
        return ended if len(self.text) <= self.position else None

    async def news(self, position: int) -> None:
        """Back when the text is longer than that, or the reply ended."""
        while len(self.text) <= position and self.text.ended is None:
            self._told.clear()
            self._waits = True  # first, so that nothing that comes from here on is missed
            if len(self.text) <= position and self.text.ended is None:
                await self._told.wait()

    async def read(self, most: int) -> bytes:
        """What is new, waited for, and no more than that. Empty when the reply ended."""
        await self.news(self.position)
        piece = self.text.since(self.position, most)
        self.position += len(piece)
        return piece

    def _wake(self) -> None:
        if self._waits:
            self._waits = False
            with suppress(RuntimeError):  # the loop ended, and with it whoever waits
                self._loop.call_soon_threadsafe(self._told.set)
