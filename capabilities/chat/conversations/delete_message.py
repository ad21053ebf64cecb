"""Deleting a message with everything that follows it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from capabilities.chat.conversations.announce import Change
from capabilities.chat.conversations.branches import newest_leaf, siblings, subtree
from capabilities.chat.conversations.hold import hold_conversation_of
from capabilities.chat.conversations.problems import ReplyRunning
from capabilities.chat.models import ChatMessage, MessageState
from database import transaction


def delete_message(user_id: UUID, message_id: UUID, now: datetime) -> None:
    """Raises NotFound, and ReplyRunning while one of these messages is written."""
    with transaction() as session:
        conversation, message = hold_conversation_of(session, user_id, message_id)
        below = subtree(conversation.id, message.id)
        states = select(ChatMessage.id, ChatMessage.state).join(below, below.c.id == ChatMessage.id)
        found = dict(session.execute(states).all())
        if any(MessageState(state).running for state in found.values()):
            raise ReplyRunning
        if conversation.current_leaf_id in found:
            conversation.current_leaf_id = _leaf_without(session, message)
        conversation.message_count -= len(found)
        conversation.updated_at = now
        Change(user_id, conversation.id).announce(session)
        session.execute(
            delete(ChatMessage).where(ChatMessage.id.in_(found)).execution_options(synchronize_session=False)
        )


def _leaf_without(session: Session, message: ChatMessage) -> UUID | None:
    """The end of the version before this one, or of the one after it; the parent, where this is the only one."""
    versions = siblings(session, message.conversation_id, [message.parent_id])[message.parent_id]
    at = versions.index(message.id)
    nearest = versions[at - 1 : at] or versions[at + 1 : at + 2]
    return newest_leaf(session, message.conversation_id, nearest[0]) if nearest else message.parent_id
