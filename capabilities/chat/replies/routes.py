"""Sending messages and following their replies, under /api/gateway."""

from uuid import UUID

from flask import Blueprint, request

from auth.principal import Caller
from capabilities.chat.admit import ADMISSION_PROBLEMS
from capabilities.chat.conversations.bodies import MessageAnswer
from capabilities.chat.conversations.hold import no_message
from capabilities.chat.conversations.list_messages import answers
from capabilities.chat.conversations.problems import ConversationFull, ReplyRunning
from capabilities.chat.models import ChatMessage
from capabilities.chat.replies.bodies import (
    RegenerateBody,
    ReplyAnswer,
    ReplyDelta,
    ReplyEnd,
    ReplyStart,
    SendBody,
    StreamQuery,
)
from capabilities.chat.replies.ended import ReplyInterrupted
from capabilities.chat.replies.events import events_of, wait_for_end
from capabilities.chat.replies.follow import Follow
from capabilities.chat.replies.reader_slots import ReaderSlots
from capabilities.chat.replies.send import REGENERATE_PATH, SEND_PATH, SendMessage, Sent, Wanted
from capabilities.chat.replies.stop import StopReply
from database import reading
from metering.rate_limit_headers import METERED_HEADERS
from providers.problems import PROVIDER_PROBLEMS
from security.api.operation import Answer, Guard, operation
from security.api.request_bodies import Json
from security.api.streams import Events
from security.edge.problems import DependencyUnavailable, NotFound, TooBusy, ValidationFailed, field_error

LARGEST_BODY = 256 * 1024
LAST_EVENT_ID = "Last-Event-ID"
UNDER, _, LAST = SEND_PATH.rpartition("/")
EVENTS = Events(start=ReplyStart, delta=ReplyDelta, end=ReplyEnd)
REPLY_PROBLEMS = (
    NotFound,
    ReplyRunning,
    ConversationFull,
    ReplyInterrupted,
    *ADMISSION_PROBLEMS,
    *PROVIDER_PROBLEMS,
)


def reply_routes(
    sending: SendMessage, follow: Follow, stopping: StopReply, slots: ReaderSlots, *, guard: Guard
) -> Blueprint:
    routes = Blueprint("chat", __name__, url_prefix=UNDER)

    @operation(
        routes,
        "POST",
        f"/{LAST}",
        operation_id="sendChatMessage",
        summary="Send a message and get the reply",
        guard=guard,
        body=Json(SendBody, limit=LARGEST_BODY),
        answers={200: (ReplyAnswer, EVENTS)},
        answer_headers=METERED_HEADERS,
        accepts_idempotency_key=True,
        problems=REPLY_PROBLEMS,
    )
    def send(caller: Caller, body: SendBody, idempotency_key: str | None) -> Answer:
        """Uses one message of your plan, and the tokens that the prompt and the reply have. If the reply fails, it uses nothing.

        With `Accept: text/event-stream` or `stream`, you get the reply while it is written. It goes on when you disconnect: read on
        at `GET /api/gateway/chat/messages/{message_id}/stream`. If you repeat a request with the same `Idempotency-Key`, you get the
        same reply, also while it is still being written.
        """
        return answer(caller, Wanted.sent(body, idempotency_key), stream=body.stream)

    @operation(
        routes,
        "POST",
        REGENERATE_PATH.removeprefix(UNDER),
        operation_id="regenerateChatReply",
        summary="Get another version of a reply",
        guard=guard,
        body=Json(RegenerateBody, limit=LARGEST_BODY),
        answers={200: (ReplyAnswer, EVENTS)},
        answer_headers=METERED_HEADERS,
        accepts_idempotency_key=True,
        problems=REPLY_PROBLEMS,
    )
    def regenerate(caller: Caller, body: RegenerateBody, idempotency_key: str | None) -> Answer:
        """The reply that there is stays: the new one becomes its sibling. Otherwise it is as if you sent the message again."""
        return answer(caller, Wanted.again(body, idempotency_key), stream=body.stream)

    @operation(
        routes,
        "GET",
        f"/{LAST}/<uuid:message_id>",
        operation_id="getChatMessage",
        summary="Get a message",
        guard=guard,
        answers={200: MessageAnswer},
        problems=(NotFound,),
    )
    def show(caller: Caller, message_id: UUID) -> Answer:
        """Of a reply that is still being written, the text is a second old at most."""
        return Answer(200, shown(caller.user_id, message_id))

    @operation(
        routes,
        "GET",
        f"/{LAST}/<uuid:message_id>/stream",
        operation_id="followChatReply",
        summary="Follow a reply",
        guard=guard,
        query=StreamQuery,
        answers={200: EVENTS},
        problems=(NotFound, ReplyInterrupted, DependencyUnavailable, TooBusy, *PROVIDER_PROBLEMS),
    )
    def stream(caller: Caller, message_id: UUID, query: StreamQuery) -> Answer:
        """What you do not have yet, as one `delta`, and then the rest while it is written.

        Say what you have by `Last-Event-ID`, as browsers do when they connect again, or by `after`. It works as long as the message is
        there, however long ago the reply ended.
        """
        after = position_of(message_id, query)
        with slots.until_failure():
            reader = follow.reader(caller.user_id, message_id, after)
            return streamed(events_of(reader, message_id, None, slots.give_back))

    @operation(
        routes,
        "POST",
        f"/{LAST}/<uuid:message_id>/stop",
        operation_id="stopChatReply",
        summary="Stop a reply",
        guard=guard,
        answers={200: MessageAnswer},
        problems=(NotFound,),
    )
    def stop(caller: Caller, message_id: UUID) -> Answer:
        """The text that was written is kept, and its tokens are counted. You get the message as it then stands, also if it had
        ended.
        """
        with slots.until_failure():
            stopping.stop(caller.user_id, message_id)
            slots.give_back()
        return Answer(200, shown(caller.user_id, message_id))

    def answer(caller: Caller, wanted: Wanted, *, stream: bool) -> Answer:
        with slots.until_failure():
            sent = sending.send(caller, wanted)
            message_id = sent.ids.message_id
            if wants_events(stream=stream):
                return streamed(events_of(sent.reader, message_id, sent.start, slots.give_back), sent)
            wait_for_end(sent.reader)
        slots.give_back()
        return Answer(200, whole(sent), sent.headers)

    return routes


def streamed(events: object, sent: Sent | None = None) -> Answer:
    headers = {} if sent is None else sent.headers
    return Answer(200, events, {"Cache-Control": "no-store", **headers})  # type: ignore[arg-type]


def wants_events(*, stream: bool) -> bool:
    return (
        stream or request.accept_mimetypes.best_match(["application/json", "text/event-stream"]) == "text/event-stream"
    )


def shown(user_id: UUID, message_id: UUID) -> MessageAnswer:
    """Raises NotFound."""
    with reading() as session:
        message = session.get(ChatMessage, message_id)
        if message is None or message.user_id != user_id:
            raise no_message()
        return answers(session, message.conversation_id, [message])[0]


def whole(sent: Sent) -> ReplyAnswer:
    """Raises NotFound when it was deleted a moment ago."""
    ids = sent.ids
    return ReplyAnswer(
        conversation_id=ids.conversation_id,
        message=shown(ids.user_id, ids.user_message_id),
        reply=shown(ids.user_id, ids.message_id),
    )


def position_of(message_id: UUID, query: StreamQuery) -> int:
    """Raises ValidationFailed for a `Last-Event-ID` that is not of this reply."""
    if query.after is not None:
        return query.after
    last = request.headers.get(LAST_EVENT_ID, "")
    if not last:
        return 0
    named, _, position = last.partition(":")
    if named != str(message_id) or not position.isascii() or not position.isdecimal() or len(position) > 10:
        raise ValidationFailed(
            [field_error([LAST_EVENT_ID], "not_of_this_reply", "Send the id of an event of this reply")]
        )
    return int(position)
