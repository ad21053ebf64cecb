"""The replies that this process generates, and what keeps the rest of the world informed of them."""

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Final
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from capabilities.chat.models import MessageState
from capabilities.chat.replies import rows
from capabilities.chat.replies.blocking import Blocking
from capabilities.chat.replies.ended import Ended, ReplyInterrupted
from capabilities.chat.replies.generation import Generation, StopReason
from capabilities.chat.replies.redis_copies import Piece, RedisCopies
from capabilities.chat.replies.rows import Progress
from database import transaction
from providers.loop import ProviderLoop
from security.edge.problems import InternalError

REDIS_SECONDS: Final = 0.05
ROW_SECONDS: Final = 1.0
SECONDS_WITHOUT_DATABASE: Final = 30.0
SETTLING_THREADS: Final = 16
"""Each waits for PostgreSQL, where those that end at the same time are counted by one statement."""


class RunningReplies:
    """One per process, on the providers' loop. `drain_seconds`: how long replies go on once the process was told to stop."""

    def __init__(self, loop: ProviderLoop, copies: RedisCopies, drain_seconds: float) -> None:
        self.draining = False
        self._loop = loop
        self._copies = copies
        self._drain_seconds = drain_seconds
        self._name = uuid4().hex
        self._lock = threading.Lock()
        self._by_id: dict[UUID, Generation] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._keepers = Blocking("chat-keep", 2)
        self._settlers = Blocking("chat-settle", SETTLING_THREADS)
        self._failing_since: float | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def owner(self) -> str:
        """What the rows call this process."""
        return f"{self._name}:{os.getpid()}"

    @contextmanager
    def begun(self, generation: Generation) -> Iterator[None]:
        """The provider is asked while the block writes the reply's row. If the block raises, there was no reply. Raises CallStopped
        when the process ends this moment.
        """
        self._keepers.adopt()
        self._settlers.adopt()
        with self._lock:
            self._by_id[generation.ids.message_id] = generation
        try:
            self._loop.start(self._run(generation))
        except BaseException:
            self._forget(generation)
            raise
        try:
            yield
        except BaseException:
            generation.stop(StopReason.GONE)
            generation.has_row.set_result(False)
            raise
        generation.has_row.set_result(True)

    def of(self, message_id: UUID) -> Generation | None:
        return self._by_id.get(message_id)

    def of_request(self, request_id: UUID) -> Generation | None:
        """The one that a metered call generates."""
        return next((each for each in self._all() if each.request_id == request_id), None)

    def stop(self, message_id: UUID) -> None:
        if (generation := self.of(message_id)) is not None:
            generation.stop(StopReason.USER)

    def drain(self) -> None:
        """The process was told to stop: no new replies, and those that run have a while to end. Waits for nothing."""
        self.draining = True
        timer = threading.Timer(self._drain_seconds, self._stop_all, (StopReason.SHUTDOWN,))
        timer.daemon = True
        timer.start()

    def drained(self) -> bool:
        return not self._by_id

    async def _run(self, generation: Generation) -> None:
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.ensure_future(self._keep())
        try:
            await generation.run()
            if await asyncio.shield(asyncio.wrap_future(generation.has_row)):
                await self._settlers.run(self._settle, generation)
            else:
                generation.text.end(Ended(MessageState.FAILED, problem=ReplyInterrupted()))
        except BaseException:
            generation.text.end(
                Ended(MessageState.FAILED, problem=InternalError())
            )  # or its readers would wait for ever
            raise
        finally:
            self._forget(generation)

    def _settle(self, generation: Generation) -> None:
        """Count, write down, tell: whoever is told that a reply ended finds it so everywhere."""
        ended, values = generation.settle()
        message_id, text = generation.ids.message_id, generation.text
        try:
            with transaction() as session:
                rows.end(session, self.owner, message_id, values)
        except SQLAlchemyError as error:  # the owner falls silent, and then it is a reply that failed
            structlog.get_logger().error("reply_not_written", message=str(message_id), cause=type(error).__name__)
        self._copies.end(message_id, text.since(0))
        text.end(ended)

    async def _keep(self) -> None:
        """As long as there are replies."""
        now = asyncio.get_running_loop().time
        flushing, flush_at = None, now() + ROW_SECONDS
        while self._by_id:
            await asyncio.sleep(REDIS_SECONDS)
            if self._copies.on and (pieces := self._pieces()):
                await self._keepers.run(self._copy, pieces)
            if now() >= flush_at and (flushing is None or flushing.done()):
                flush_at = now() + ROW_SECONDS
                flushing = asyncio.ensure_future(self._keepers.run(self._flush))

    def _pieces(self) -> Sequence[Piece]:
        return [
            Piece(each.ids.message_id, each.in_redis, each.text.since(each.in_redis))
            for each in self._all()
            if each.in_redis < len(each.text) and not each.settling
        ]

    def _copy(self, pieces: Sequence[Piece]) -> None:
        lengths = self._copies.write(pieces)
        for piece, length in zip(pieces, lengths or (), strict=bool(lengths)):
            if (generation := self.of(piece.message_id)) is not None:
                generation.in_redis = length

    def _flush(self) -> None:
        flushed = [(each, len(each.text)) for each in self._all() if each.has_row.done() and not each.settling]
        progress = [_progress(each, size) for each, size in flushed]
        if not progress:
            return
        try:
            with transaction() as session:
                there = rows.flush(session, self.owner, progress)
        except SQLAlchemyError as error:
            self._note_failing(error)
            return
        self._failing_since = None
        for generation, size in flushed:
            generation.in_row = size
            if there.get(generation.ids.message_id, False):
                generation.stop(StopReason.USER)
            elif generation.ids.message_id not in there and not generation.settling:
                generation.stop(StopReason.GONE)

    def _note_failing(self, error: SQLAlchemyError) -> None:
        structlog.get_logger().warning("replies_not_flushed", cause=type(error).__name__)
        now = monotonic()
        self._failing_since = self._failing_since or now
        if now - self._failing_since >= SECONDS_WITHOUT_DATABASE:
            self._stop_all(StopReason.DATABASE)

    def _stop_all(self, reason: StopReason) -> None:
        for generation in self._all():
            generation.stop(reason)

    def _all(self) -> list[Generation]:
        with self._lock:
            return list(self._by_id.values())

    def _forget(self, generation: Generation) -> None:
        with self._lock:
            self._by_id.pop(generation.ids.message_id, None)


def _progress(generation: Generation, size: int) -> Progress:
    news = generation.text.since(0)[:size].decode() if size > generation.in_row else None
    return Progress(generation.ids.message_id, news, generation.first_token_at)
