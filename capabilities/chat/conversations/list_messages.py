"""The messages of a conversation, the newest first."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from capabilities.chat.conversations.bodies import Branch, MessageAnswer, MessagesAnswer, MessagesQuery
from capabilities.chat.conversations.branches import branch, siblings
from capabilities.chat.conversations.hold import find_conversation
from capabilities.chat.conversations.show import message_answer
from capabilities.chat.models import ChatMessage
from database import reading
from database.pages import newest_first, page_of
from security.edge.problems import ValidationFailed, field_error


def list_messages(user_id: UUID, conversation_id: UUID, wanted: MessagesQuery) -> MessagesAnswer:
    """Raises NotFound, and ValidationFailed for a cursor that is not of this conversation."""
    with reading() as session:
        conversation = find_conversation(session, user_id, conversation_id)
        if wanted.branch is Branch.ALL:
            query = select(ChatMessage).where(ChatMessage.conversation_id == conversation_id)
            found = session.scalars(newest_first(query, ChatMessage.id, wanted.cursor, wanted.limit)).all()
        else:
            found = _of_branch(session, conversation_id, conversation.current_leaf_id, wanted.cursor, wanted.limit)
        page = page_of(found, wanted.limit)
        return MessagesAnswer(messages=answers(session, conversation_id, page.items), next_cursor=page.next_cursor)


def _of_branch(
    session: Session, conversation_id: UUID, leaf_id: UUID | None, cursor: UUID | None, limit: int
) -> Sequence[ChatMessage]:
    """From the leaf, or from the parent of the last message that was told, with one more."""
    last_told = 0 if cursor is None else 1
    start = cursor or leaf_id
    if start is None:
        return ()
    path = branch(conversation_id, start, limit + 1 + last_told)
    query = select(ChatMessage).join(path, path.c.id == ChatMessage.id).order_by(path.c.step)
    found = session.scalars(query).all()
    if cursor is not None and not found:
        raise ValidationFailed([field_error(["cursor"], "unknown_cursor", "Send the next_cursor of this list")])
    return found[last_told:]


def answers(session: Session, conversation_id: UUID, rows: Sequence[ChatMessage]) -> list[MessageAnswer]:
    """With the siblings of each."""
    by_parent = siblings(session, conversation_id, [row.parent_id for row in rows])
    return [message_answer(row, by_parent[row.parent_id]) for row in rows]
