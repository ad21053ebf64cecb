"""Following a reply from any of its bytes on, whichever process generates it, and also when it ended long ago.

A reply of another process has a mirror here: its text as it is in Redis, and where Redis does not have it, as the row has it. All
who follow it in this process read the mirror, so it is asked for once.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from capabilities.chat.models import MessageState
from capabilities.chat.replies import rows
from capabilities.chat.replies.ended import Ended
from capabilities.chat.replies.live_text import LiveText, Reader
from capabilities.chat.replies.redis_copies import RedisCopies
from capabilities.chat.replies.rows import Seen
from capabilities.chat.replies.running import RunningReplies
from database import reading
from database.blocking import Blocking
from providers.loop import ProviderLoop
from security.edge.problems import DependencyUnavailable, NotFound, ValidationFailed, field_error

REDIS_SECONDS: Final = 0.1
ROW_SECONDS: Final = 1.0
CATCH_UP_SECONDS: Final = 4.0
"""A reader that comes from the process that generates the reply may be ahead of all copies by this, and by no more."""
DEAF_SECONDS: Final = 30.0
"""When nothing could be learned of a reply for so long, its readers are told."""


@dataclass(eq=False)
class Mirror:
    """Times are those of the monotonic clock. `looked_at`: when the row was asked for."""

    user_id: UUID
    text: LiveText
    new_text_at: float = 0.0
    looked_at: float = 0.0
    heard_at: float = field(default_factory=monotonic)


class Follow:
    """One per process."""

    def __init__(self, loop: ProviderLoop, running: RunningReplies, copies: RedisCopies) -> None:
        self._loop, self._running, self._copies = loop, running, copies
        self._lock = threading.Lock()
        self._mirrors: dict[UUID, Mirror] = {}
        self._watching = False
        self._pollers = Blocking("chat-follow", 1)

    def reader(self, user_id: UUID, message_id: UUID, position: int = 0) -> Reader:
        """Raises NotFound, and ValidationFailed for a position that the text does not have. It must be closed."""
        reader = self.open(user_id, message_id)
        try:
            return _moved(reader, position)
        except BaseException:
            reader.close()
            raise

    def open(self, user_id: UUID, message_id: UUID) -> Reader:
        """From the first byte on; nothing is waited for. Raises NotFound."""
        generation = self._running.of(message_id)
        if generation is not None:
            if generation.ids.user_id != user_id:
                raise no_reply()
            return Reader(generation.text)
        with reading() as session:
            seen = rows.look(session, [(message_id, 0)]).get(message_id)
        if seen is None or seen.user_id != user_id:
            raise no_reply()
        if seen.ended is not None:
            return Reader(LiveText(seen.rest, seen.ended))
        return self._mirrored(message_id, seen)

    def _mirrored(self, message_id: UUID, seen: Seen) -> Reader:
        self._pollers.adopt()
        with self._lock:
            mirror = self._mirrors.get(message_id)
            if mirror is None:
                mirror = self._mirrors[message_id] = Mirror(seen.user_id, LiveText(seen.rest))
            reader = Reader(mirror.text)  # here, because a mirror that nobody reads goes away
            starts, self._watching = not self._watching, True
        if starts:
            self._loop.start(self._watch())
        return reader

    async def _watch(self) -> None:
        """While there are mirrors."""
        try:
            while True:
                await asyncio.sleep(REDIS_SECONDS)
                await self._pollers.run(self._poll)
                with self._lock:
                    if not self._mirrors:
                        self._watching = False
                        return
        except BaseException:
            self._watching = False
            raise

    def _poll(self) -> None:
        with self._lock:
            mirrors = list(self._mirrors.items())
        self._ask_redis(mirrors)
        self._ask_rows(mirrors)
        now = monotonic()
        for _, mirror in mirrors:
            if now - mirror.heard_at > DEAF_SECONDS:
                mirror.text.end(Ended(MessageState.FAILED, problem=DependencyUnavailable()))
        with self._lock:
            for message_id, mirror in mirrors:
                if mirror.text.ended is not None or not mirror.text.watched:
                    self._mirrors.pop(message_id, None)

    def _ask_redis(self, mirrors: Sequence[tuple[UUID, Mirror]]) -> None:
        found = self._copies.read([(message_id, len(mirror.text)) for message_id, mirror in mirrors])
        now = monotonic()
        for (_, mirror), (piece, ended) in zip(mirrors, found or (), strict=bool(found)):
            if piece:
                mirror.new_text_at = mirror.heard_at = now
                mirror.text.append(piece)
            if ended:
                mirror.looked_at = mirror.new_text_at = 0.0  # how it ended stands in the row

    def _ask_rows(self, mirrors: Sequence[tuple[UUID, Mirror]]) -> None:
        now = monotonic()
        silent = [
            (message_id, mirror)
            for message_id, mirror in mirrors
            if min(now - mirror.new_text_at, now - mirror.looked_at) >= ROW_SECONDS
        ]
        if not silent:
            return
        try:
            with reading() as session:
                found = rows.look(session, [(message_id, len(mirror.text)) for message_id, mirror in silent])
        except SQLAlchemyError:
            return  # with Redis the text goes on all the same
        for message_id, mirror in silent:
            mirror.looked_at = mirror.heard_at = now
            seen = found.get(message_id)
            if seen is None:
                mirror.text.end(Ended(MessageState.FAILED, problem=no_reply()))
                continue
            if seen.rest:
                mirror.text.append(seen.rest)
            if seen.ended is not None:
                mirror.text.end(seen.ended)


def no_reply() -> NotFound:
    return NotFound("You have no reply with this ID")


def _moved(reader: Reader, position: int) -> Reader:
    """To a position that its text has, or will have in a moment."""
    text, until = reader.text, monotonic() + CATCH_UP_SECONDS
    while len(text) < position and text.ended is None and (left := until - monotonic()) > 0:
        reader.read(left)
    check_position(text, position)
    reader.position = position
    return reader


def check_position(text: LiveText, position: int) -> None:
    """Raises ValidationFailed for one that the text does not have."""
    if position > len(text):
        raise ValidationFailed([field_error(["after"], "beyond_the_text", "The reply has fewer bytes")])
    if text.since(position)[:1] and text.since(position)[0] & 0xC0 == 0x80:
        raise ValidationFailed([field_error(["after"], "inside_a_character", "This is in the middle of a character")])
