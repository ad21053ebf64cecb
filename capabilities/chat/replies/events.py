"""A reply as its readers get it: as events, or as a whole."""

from collections.abc import Callable, Iterator
from threading import Lock
from time import monotonic, sleep
from typing import Final
from uuid import UUID

import orjson

from capabilities.chat.replies.bodies import ReplyStart
from capabilities.chat.replies.ended import Ended
from capabilities.chat.replies.live_text import Reader
from security.api.streams import PING, Event, Outlet, Pushed

PING_SECONDS: Final = 8.0
JOINED_SECONDS: Final = 0.02
"""What comes within it goes into one event, but for the first."""


def events_of(
    reader: Reader, message_id: UUID, start: ReplyStart | None, at_end: Callable[[], None]
) -> Pushed[Event | bytes]:
    """Raises the problem of a reply that failed. Closes the reader and calls `at_end`, however it ends."""
    outlet = Outlet()
    return Pushed(_events(reader, message_id, start, at_end, outlet), outlet)


def wait_for_end(reader: Reader) -> Ended:
    """Raises the problem of a reply that failed. Closes the reader."""
    try:
        while (ended := reader.ended) is None:
            reader.read(PING_SECONDS)
            if reader.text.ended is None:
                sleep(JOINED_SECONDS)
    finally:
        reader.close()
    if ended.problem is not None:
        raise ended.problem
    return ended


def _events(
    reader: Reader, message_id: UUID, start: ReplyStart | None, at_end: Callable[[], None], outlet: Outlet
) -> Iterator[Event | bytes]:
    deltas = _Deltas(reader, message_id, outlet)
    try:
        yield PING if start is None else Event(start, "start")  # the answer begins with what is said first
        forget = reader.text.watch(deltas.say)
        try:
            deltas.say()  # what was there before
            while (ended := reader.ended) is None and not outlet.gone:
                if sent := outlet.wait(deltas.silent_until - monotonic()):
                    yield sent
                deltas.ping()
        finally:
            forget()
            deltas.stop()
        yield from outlet.rest()
        if ended is not None:
            yield _last(ended)
    finally:
        reader.close()
        at_end()


class _Deltas:
    """What comes to a reader's text, said by whoever adds it: no thread is woken for it."""

    def __init__(self, reader: Reader, message_id: UUID, outlet: Outlet) -> None:
        self.silent_until = monotonic() + PING_SECONDS
        self._reader, self._outlet = reader, outlet
        self._id = b"id: %b:" % str(message_id).encode()
        self._lock = Lock()
        self._stopped = False

    def say(self) -> None:
        with self._lock:
            if not self._stopped and (piece := self._reader.take()):
                text = orjson.dumps({"text": piece.decode()})
                self._send(b"%b%d\nevent: delta\ndata: %b\n\n" % (self._id, self._reader.position, text))
        if self._reader.text.ended is not None or self._outlet.gone:
            self._outlet.wake()

    def ping(self) -> None:
        """After silence."""
        with self._lock:
            if monotonic() >= self.silent_until:
                self._send(PING)

    def stop(self) -> None:
        """The connection is another request's from here on."""
        with self._lock:
            self._stopped = True

    def _send(self, data: bytes) -> None:
        self._outlet.send(data)
        self.silent_until = monotonic() + PING_SECONDS


def _last(ended: Ended) -> Event:
    if ended.problem is not None:
        raise ended.problem
    return Event(ended.told(), "end")
