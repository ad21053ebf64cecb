"""A reply as its readers get it: as events, or as a whole."""

from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Final
from uuid import UUID

from capabilities.chat.replies.bodies import ReplyDelta, ReplyStart
from capabilities.chat.replies.ended import Ended
from capabilities.chat.replies.live_text import Reader
from security.api.streams import PING, Event

PING_SECONDS: Final = 8.0
JOINED_SECONDS: Final = 0.02
"""What comes within it goes into one event, but for the first."""


def events_of(
    reader: Reader, message_id: UUID, start: ReplyStart | None, at_end: Callable[[], None]
) -> Iterator[Event | bytes]:
    """Raises the problem of a reply that failed. Closes the reader and calls `at_end`, however it ends."""
    try:
        yield PING if start is None else Event(start, "start")  # the answer begins with what is said first
        said_at = monotonic()
        while (ended := reader.ended) is None:
            if piece := reader.read(said_at + PING_SECONDS - monotonic()):
                yield Event(ReplyDelta(text=piece.decode()), "delta", f"{message_id}:{reader.position}")
                said_at = monotonic()
                sleep(JOINED_SECONDS)
            elif monotonic() - said_at >= PING_SECONDS:
                yield PING
                said_at = monotonic()
        yield _last(ended)
    finally:
        reader.close()
        at_end()


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


def _last(ended: Ended) -> Event:
    if ended.problem is not None:
        raise ended.problem
    return Event(ended.told(), "end")
