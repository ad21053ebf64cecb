"""What clients do with chat over a socket, and what they hear of what is done elsewhere."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from capabilities.chat.conversations.announce import CHANNEL, Change
from capabilities.chat.conversations.hold import find_conversation
from capabilities.chat.conversations.show import conversation_answer
from capabilities.chat.models import ChatMessage
from capabilities.chat.plan_limits import CHAT_LIMITS, FEATURE
from capabilities.chat.replies import rows
from capabilities.chat.replies.bodies import ReplyStart, SendBody
from capabilities.chat.replies.follow import no_reply
from capabilities.chat.replies.live_text import LiveText
from capabilities.chat.replies.send import SendMessage, Sent, Wanted
from capabilities.chat.replies.stop import StopReply
from capabilities.chat.sockets.bodies import (
    ConversationBody,
    ConversationUpdated,
    MessageBody,
    ResumeBody,
    SendEventBody,
    StreamBody,
    StreamTold,
    TypingTold,
)
from capabilities.chat.sockets.followers import EVENT, Followers
from capabilities.chat.sockets.rooms import check_joined, check_room, join, leave, room_of
from capabilities.chat.sockets.updates import EVENT as UPDATED
from capabilities.chat.sockets.updates import Updates
from database import reading
from metering.sockets import Socket, SocketEvent, SocketEvents, Sockets

TYPING: Final = "typing:start"
TYPING_SECONDS: Final = 5
"""How long others show it. There is no event at its end."""
Told = Mapping[str, object]


class ChatSockets:
    """One per process. Nothing but `send` and what is passed on by it runs off the loop of the sockets."""

    def __init__(self, sending: SendMessage, stopping: StopReply) -> None:
        self._sending = sending
        self._running = sending.running
        self._stopping = stopping
        self._followers = Followers(sending.follow)
        self._sockets: Sockets
        self._updates: Updates
        self._loop: asyncio.AbstractEventLoop

    def events(
        self, more: Sequence[SocketEvent] = (), more_told: Mapping[str, type[BaseModel]] = MappingProxyType({})
    ) -> SocketEvents:
        """`more`: of whoever sends messages by `send`, and what these tell."""
        return SocketEvents(
            scope=FEATURE,
            sockets={tier: limits.sockets for tier, limits in CHAT_LIMITS.items()},
            events=(
                SocketEvent("conversation:join", ConversationBody, self.join),
                SocketEvent("conversation:leave", ConversationBody, self.leave),
                SocketEvent(EVENT, StreamBody, self.stream),
                SocketEvent("chat:stop", MessageBody, self.stop),
                SocketEvent(TYPING, ConversationBody, self.typing),
                *more,
            ),
            told={EVENT: StreamTold, TYPING: TypingTold, UPDATED: ConversationUpdated, **more_told},
            started=self.started,
            heard={CHANNEL: self.heard},
            reconnected=self.reconnected,
        )

    def started(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._updates = Updates(sockets)
        self._loop = asyncio.get_running_loop()
        self._running.watch(self._begun)

    async def join(self, socket: Socket, body: ConversationBody) -> Told:
        """`running`: replies that are being written. What begins from now on comes by itself. Raises NotFound, TooManyJoined."""
        join(socket, body.conversation_id)  # first, so that no reply begins in between
        try:
            return await socket.blocking(_joined, socket.caller.user_id, body.conversation_id)
        except BaseException:
            self._leave(socket, body.conversation_id)
            raise

    async def leave(self, socket: Socket, body: ConversationBody) -> Told:
        self._leave(socket, body.conversation_id)
        return {}

    async def stream(self, socket: Socket, body: StreamBody) -> Told:
        if isinstance(body.root, ResumeBody):
            start = await self._followers.resume(socket, body.root.message_id, body.root.after)
            return {"conversation_id": str(start.conversation_id), "message_id": str(start.message_id)}
        sent = await self.send(socket, _wanted(body.root))
        sent.reader.close()
        return sent.start.model_dump(mode="json")

    async def send(self, socket: Socket, wanted: Wanted) -> Sent:
        """The reply goes to all sockets that joined its conversation, this one among them. The reader of what is returned must be
        closed. Raises NotJoined, TooManyJoined, and what SendMessage raises.
        """
        if wanted.conversation_id is None:
            check_room(socket)
        else:
            check_joined(socket, wanted.conversation_id)
        sent = await socket.blocking(self._sending.send, socket.caller, wanted)
        if wanted.conversation_id is None:
            join(socket, sent.ids.conversation_id)
        if wanted.conversation_id is None or not sent.fresh:  # of all others it is told when they begin
            self._followers.begin(socket, sent.start, sent.reader.text)
        return sent

    async def stop(self, socket: Socket, body: MessageBody) -> Told:
        """The last event of the reply says when it has stopped. Raises NotFound, NotJoined."""
        user_id, message_id = socket.caller.user_id, body.message_id
        check_joined(socket, await socket.blocking(_conversation_of, user_id, message_id))
        await socket.blocking(self._stopping.request, user_id, message_id)
        return {}

    async def typing(self, socket: Socket, body: ConversationBody) -> Told:
        """Raises NotJoined."""
        check_joined(socket, body.conversation_id)
        told = TypingTold(conversation_id=body.conversation_id, seconds=TYPING_SECONDS).model_dump(mode="json")
        for other in self._sockets.in_room(socket.caller.user_id, room_of(body.conversation_id)):
            if other is not socket:
                other.emit(TYPING, told)
        return {}

    def heard(self, payload: str) -> None:
        change = Change.heard(payload)
        self._updates.changed(change.user_id, change.conversation_id)
        if change.conversation_id is not None and change.reply_id is not None and change.owner != self._running.owner:
            self._begun_elsewhere(change.user_id, change.conversation_id, change.reply_id)

    def reconnected(self) -> None:
        """Replies that run are followed by those who joined their conversations and do not."""
        self._updates.anything_may_have_changed()
        self._sockets.start(self._look_for_replies())

    def _leave(self, socket: Socket, conversation_id: UUID) -> None:
        leave(socket, conversation_id)
        self._followers.leave(socket, conversation_id)

    def _begun(self, user_id: UUID, start: ReplyStart, text: LiveText) -> None:
        """In the thread that sent for it."""
        with suppress(RuntimeError):  # the loop ended, and all sockets with it
            self._loop.call_soon_threadsafe(self._begun_here, user_id, start, text)

    def _begun_here(self, user_id: UUID, start: ReplyStart, text: LiveText) -> None:
        for socket in self._sockets.in_room(user_id, room_of(start.conversation_id)):
            self._followers.begin(socket, start, text)

    def _begun_elsewhere(self, user_id: UUID, conversation_id: UUID, message_id: UUID) -> None:
        for socket in self._sockets.in_room(user_id, room_of(conversation_id)):
            self._followers.begin_elsewhere(socket, conversation_id, message_id)

    async def _look_for_replies(self) -> None:
        for user_id, conversation_id, message_id in await self._sockets.blocking(_all_running):
            self._begun_elsewhere(user_id, conversation_id, message_id)


def _wanted(body: SendEventBody) -> Wanted:
    """The same request as `POST /api/gateway/chat/messages` with this Idempotency-Key. Raises ValidationFailed."""
    sent = body.model_dump(exclude={"idempotency_key"}, exclude_unset=True)
    return Wanted.sent(SendBody(**sent), body.idempotency_key)


def _joined(user_id: UUID, conversation_id: UUID) -> Told:
    """Raises NotFound."""
    with reading() as session:
        conversation = conversation_answer(find_conversation(session, user_id, conversation_id))
        running = rows.running_replies(session, ChatMessage.conversation_id == conversation_id)
    return {"conversation": conversation.model_dump(mode="json"), "running": [str(reply) for _, _, reply in running]}


def _all_running() -> Sequence[Any]:
    with reading() as session:
        return rows.running_replies(session)


def _conversation_of(user_id: UUID, message_id: UUID) -> UUID:
    """Raises NotFound."""
    with reading() as session:
        start = rows.start_of(session, user_id, message_id)
    if start is None:
        raise no_reply()
    return start.conversation_id
