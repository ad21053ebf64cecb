"""Replies on their way to sockets: one follower for each socket and reply.

It waits until the socket's queue has room and takes only then what is new. So a slow socket costs no memory, and nothing is lost.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from capabilities.chat.replies import rows
from capabilities.chat.replies.bodies import ReplyStart
from capabilities.chat.replies.ended import Ended
from capabilities.chat.replies.events import JOINED_SECONDS
from capabilities.chat.replies.follow import CATCH_UP_SECONDS, Follow, check_position, no_reply
from capabilities.chat.replies.live_text import AsyncReader, LiveText, Reader
from capabilities.chat.sockets.problems import MOST_FOLLOWED, TooManyFollowed
from capabilities.chat.sockets.rooms import check_joined
from database import reading
from metering.sockets import Socket, SocketClosed
from security.edge.problems import NotFound
from security.edge.request_id import current_request_id

EVENT: Final = "chat:stream"
FOLLOWED: Final = "replies"
LARGEST_PIECE: Final = 16 * 1024
"""Bytes of text in one event."""


@dataclass(frozen=True)
class Followed:
    conversation_id: UUID
    task: asyncio.Task[None]


@dataclass(frozen=True)
class Followers:
    """All on the loop of the sockets."""

    follow: Follow

    def begin(self, socket: Socket, start: ReplyStart, text: LiveText) -> None:
        """From the reply's start on, unless this socket follows it already."""
        if start.message_id not in followed_by(socket):
            self._add(socket, start, self._deliver(socket, start, AsyncReader(text), tell_start=True))

    def begin_elsewhere(self, socket: Socket, conversation_id: UUID, message_id: UUID) -> None:
        """The same for a reply that another process generates."""
        if message_id not in followed_by(socket):
            task = socket.start(self._open(socket, message_id))
            followed_by(socket)[message_id] = Followed(conversation_id, task)

    async def resume(self, socket: Socket, message_id: UUID, after: int) -> ReplyStart:
        """From a byte on, in place of a follower that the socket has. Raises NotFound, NotJoined, TooManyFollowed, and
        ValidationFailed for a position that the text does not have.
        """
        start, opened = await socket.blocking(self._opened, socket.caller.user_id, message_id)
        try:
            check_joined(socket, start.conversation_id)
            if message_id not in followed_by(socket) and len(followed_by(socket)) >= MOST_FOLLOWED:
                raise TooManyFollowed
            reader = AsyncReader(opened.text, after)
        finally:
            opened.close()
        try:
            await _catch_up(reader)
        except BaseException:
            reader.close()
            raise
        self._end(socket, message_id)
        self._add(socket, start, self._deliver(socket, start, reader, tell_start=False))
        return start

    def leave(self, socket: Socket, conversation_id: UUID) -> None:
        for message_id, followed in list(followed_by(socket).items()):
            if followed.conversation_id == conversation_id:
                self._end(socket, message_id)

    def _add(self, socket: Socket, start: ReplyStart, work: Any) -> None:
        followed_by(socket)[start.message_id] = Followed(start.conversation_id, socket.start(work))

    def _end(self, socket: Socket, message_id: UUID) -> None:
        if (followed := followed_by(socket).pop(message_id, None)) is not None:
            followed.task.cancel()

    def _opened(self, user_id: UUID, message_id: UUID) -> tuple[ReplyStart, Reader]:
        """Raises NotFound."""
        with reading() as session:
            start = rows.start_of(session, user_id, message_id)
        if start is None:
            raise no_reply()
        return start, self.follow.open(user_id, message_id)

    async def _open(self, socket: Socket, message_id: UUID) -> None:
        try:
            start, opened = await socket.blocking(self._opened, socket.caller.user_id, message_id)
        except NotFound:  # it was deleted a moment ago
            _forget(socket, message_id)
            return
        except BaseException:
            _forget(socket, message_id)
            raise
        reader = AsyncReader(opened.text)
        opened.close()
        await self._deliver(socket, start, reader, tell_start=True)

    async def _deliver(self, socket: Socket, start: ReplyStart, reader: AsyncReader, *, tell_start: bool) -> None:
        which = {"conversation_id": str(start.conversation_id), "message_id": str(start.message_id)}
        try:
            if tell_start:
                await socket.send(EVENT, {"type": "start", "offset": 0, **start.model_dump(mode="json")})
            while (ended := reader.ended) is None:
                if piece := await reader.read(LARGEST_PIECE):
                    told = {"type": "delta", **which, "offset": reader.position, "text": piece.decode()}
                    await socket.send(EVENT, told)
                    await asyncio.sleep(JOINED_SECONDS)
            await socket.send(EVENT, {**which, "offset": reader.position, **_last(ended)})
        except SocketClosed:
            pass
        finally:
            reader.close()
            _forget(socket, start.message_id)


def followed_by(socket: Socket) -> dict[UUID, Followed]:
    """By reply."""
    followed: dict[UUID, Followed] = socket.kept.setdefault(FOLLOWED, {})
    return followed


def _forget(socket: Socket, message_id: UUID) -> None:
    """Not another follower that took the place of this one."""
    followed = followed_by(socket)
    if message_id in followed and followed[message_id].task is asyncio.current_task():
        del followed[message_id]


async def _catch_up(reader: AsyncReader) -> None:
    """With a reader that comes from the process that generates the reply. Raises ValidationFailed."""
    try:
        async with asyncio.timeout(CATCH_UP_SECONDS):
            await reader.news(reader.position - 1)
    except TimeoutError:
        pass
    check_position(reader.text, reader.position)


def _last(ended: Ended) -> Mapping[str, object]:
    if ended.problem is not None:
        return {"type": "error", "problem": ended.problem.body(current_request_id())}
    return {"type": "end", **ended.told().model_dump(mode="json")}
