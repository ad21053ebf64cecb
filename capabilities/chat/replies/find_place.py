"""Where in a conversation a message goes."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine

from capabilities.chat.conversations.branches import MOST_MESSAGES
from capabilities.chat.conversations.hold import no_conversation, no_message
from capabilities.chat.conversations.problems import ConversationFull, ReplyRunning
from capabilities.chat.models import MessageRole, MessageState
from database.one_statement import rows_of
from security.edge.problems import NotFound

FIND: Final = """
    SELECT conversation.system_prompt, conversation.model, conversation.max_tokens, conversation.temperature,
        conversation.message_count, at.id, message.parent_id, message.role, message.state
    FROM chat_conversations AS conversation
    CROSS JOIN LATERAL (
        SELECT CASE WHEN NOT %(at_beginning)s THEN coalesce(%(at)s::uuid, conversation.current_leaf_id) END AS id
    ) AS at
    LEFT JOIN chat_messages AS message ON message.conversation_id = conversation.id AND message.id = at.id
    WHERE conversation.id = %(conversation)s AND conversation.user_id = %(user)s
"""


@dataclass(frozen=True)
class Place:
    """Where in a conversation the message goes, and what that conversation says of its replies. `parent_id`: of the new message; of
    another version of a reply its own parent, which the user wrote.
    """

    conversation_id: UUID | None = None
    parent_id: UUID | None = None
    system_prompt: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None


def find_place(
    engine: Engine, user_id: UUID, conversation_id: UUID, at: UUID | None, *, at_beginning: bool, again: bool
) -> Place:
    """`at`: the parent of the message, or with `again` the reply of which another version is wanted; None for the last one that is
    shown. Raises NotFound, ReplyRunning, ConversationFull.
    """
    asked = {"conversation": str(conversation_id), "user": str(user_id), "at_beginning": at_beginning}
    found = rows_of(engine, FIND, {**asked, "at": None if at is None else str(at)})
    if not found:
        raise no_conversation()
    *told, message_count, at_id, parent_id, role, state = found[0]
    if message_count + (1 if again else 2) > MOST_MESSAGES:
        raise ConversationFull
    if at_id is None:
        if again:
            raise NotFound("The conversation has no reply yet")
        return Place(conversation_id, None, *told)
    if role is None:
        raise no_message()
    if MessageState(state).running:
        raise ReplyRunning
    return Place(conversation_id, _uuid(parent_id if again and role == MessageRole.ASSISTANT else at_id), *told)


def _uuid(value: Any) -> UUID | None:
    return None if value is None else UUID(str(value))
