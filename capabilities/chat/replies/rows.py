"""The rows of replies: what the process that generates them writes there, and what every other one can tell from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, func, select, text, update
from sqlalchemy.orm import Session

from capabilities.chat.models import RUNNING, ChatMessage, MessageRole, MessageState
from capabilities.chat.replies.bodies import ReplyStart
from capabilities.chat.replies.ended import SHUTDOWN, Ended, ReplyInterrupted, failure_named

OWNER_SECONDS: Final = 15
"""A process writes each second. One that was silent for so long is taken for dead."""

FLUSH: Final = text("""
    UPDATE chat_messages AS reply
    SET content = coalesce(now.content, reply.content), first_token_at = now.first_token_at,
        state = CASE WHEN now.first_token_at IS NULL THEN 'pending' ELSE 'streaming' END,
        owner_until = clock_timestamp() + make_interval(secs => :seconds)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:contents AS text[]), CAST(:first AS timestamptz[]))
        AS now (id, content, first_token_at)
    WHERE reply.id = now.id AND reply.owner = :owner
    RETURNING reply.id, reply.stop_requested_at IS NOT NULL
""")
"""Also of a reply that was declared dead too early: who still generates it, owns it. Its end takes the owner away."""
LOOK: Final = text("""
    SELECT reply.id, reply.user_id, reply.state, reply.owner_until < clock_timestamp() AS silent, reply.model, reply.finish_reason,
        reply.input_tokens, reply.output_tokens, reply.estimated, reply.error_code,
        substring(convert_to(reply.content, 'UTF8') FROM wanted.position + 1) AS rest
    FROM unnest(CAST(:ids AS uuid[]), CAST(:positions AS integer[])) AS wanted (id, position)
    JOIN chat_messages AS reply ON reply.id = wanted.id AND reply.role = 'assistant'
""")

START: Final = (
    ChatMessage.conversation_id,
    ChatMessage.id.label("message_id"),
    ChatMessage.parent_id.label("user_message_id"),
    ChatMessage.model,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """`content` is None where nothing came since the last time."""

    message_id: UUID
    content: str | None
    first_token_at: datetime | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A reply as its row has it. `rest` is what comes after the position that was asked for."""

    user_id: UUID
    rest: bytes
    ended: Ended | None


def flush(session: Session, owner: str, progress: Sequence[Progress]) -> Mapping[UUID, bool]:
    """By reply that is still there, whether somebody asked to stop it."""
    values = {
        "owner": owner,
        "seconds": OWNER_SECONDS,
        "ids": [str(each.message_id) for each in progress],
        "contents": [each.content for each in progress],
        "first": [each.first_token_at for each in progress],
    }
    return {row[0]: row[1] for row in session.execute(FLUSH, values)}


def end(session: Session, owner: str, message_id: UUID, values: Mapping[str, object]) -> None:
    own = update(ChatMessage).where(ChatMessage.id == message_id, ChatMessage.owner == owner)
    session.execute(own.values(**values, owner=None, owner_until=None))


def look(session: Session, wanted: Sequence[tuple[UUID, int]]) -> Mapping[UUID, Seen]:
    values = {"ids": [str(each) for each, _ in wanted], "positions": [position for _, position in wanted]}
    return {row["id"]: _seen(row) for row in session.execute(LOOK, values).mappings()}


def request_stop(session: Session, user_id: UUID, message_id: UUID) -> bool:
    """Whether it was still running."""
    running = update(ChatMessage).where(
        ChatMessage.id == message_id,
        ChatMessage.user_id == user_id,
        ChatMessage.state.in_(RUNNING),
    )
    stopped = running.values(stop_requested_at=func.now()).returning(ChatMessage.id)
    return session.scalars(stopped).one_or_none() is not None


def running_reply(session: Session, user_id: UUID, request_id: UUID) -> ChatMessage | None:
    """The one that a metered call generates."""
    running = select(ChatMessage).where(
        ChatMessage.state.in_(RUNNING),
        ChatMessage.user_id == user_id,
        ChatMessage.request_id == request_id,
    )
    return session.scalars(running.order_by(ChatMessage.id.desc()).limit(1)).one_or_none()


def start_of(session: Session, user_id: UUID, message_id: UUID) -> ReplyStart | None:
    """None when the user has no such reply."""
    mine = (ChatMessage.id == message_id, ChatMessage.user_id == user_id, ChatMessage.role == MessageRole.ASSISTANT)
    row = session.execute(select(*START).where(*mine)).mappings().one_or_none()
    return None if row is None else ReplyStart(**row, max_tokens=None, max_tokens_reduced=False, context=None)


def running_replies(session: Session, *conditions: ColumnElement[bool]) -> Sequence[tuple[UUID, UUID, UUID]]:
    """User, conversation and reply."""
    ids = select(ChatMessage.user_id, ChatMessage.conversation_id, ChatMessage.id)
    return session.execute(ids.where(ChatMessage.state.in_(RUNNING), *conditions).order_by(ChatMessage.id)).all()


def _seen(row: RowMapping) -> Seen:
    return Seen(row["user_id"], bytes(row["rest"]), _ended(row))


def _ended(row: RowMapping) -> Ended | None:
    state = MessageState(row["state"])
    if state.running:
        return Ended(MessageState.FAILED, problem=ReplyInterrupted()) if row["silent"] else None
    if state is MessageState.FAILED:
        return Ended(state, problem=failure_named(row["error_code"]))
    return Ended(
        state,
        model=row["model"] or "",
        finish_reason=row["finish_reason"],
        input_tokens=row["input_tokens"] or 0,
        output_tokens=row["output_tokens"] or 0,
        estimated=bool(row["estimated"]),
        retryable=row["error_code"] == SHUTDOWN,
    )
