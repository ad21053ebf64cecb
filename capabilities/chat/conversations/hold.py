"""Finding what belongs to the caller. What does not is not found, whoever's it is."""

from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from capabilities.chat.models import ChatMessage, Conversation
from security.edge.problems import NotFound


def find_conversation(session: Session, user_id: UUID, conversation_id: UUID) -> Conversation:
    """Raises NotFound."""
    return _found(session, _mine(user_id, conversation_id))


def hold_conversation(session: Session, user_id: UUID, conversation_id: UUID) -> Conversation:
    """With its row locked until the end of the transaction, for whoever changes it or its messages. Raises NotFound."""
    return _found(session, _mine(user_id, conversation_id).with_for_update(key_share=True))


def hold_conversation_of(session: Session, user_id: UUID, message_id: UUID) -> tuple[Conversation, ChatMessage]:
    """The conversation, locked, and the message in it. Raises NotFound."""
    mine = select(ChatMessage.conversation_id).where(ChatMessage.id == message_id, ChatMessage.user_id == user_id)
    conversation_id = session.scalars(mine).one_or_none()
    if conversation_id is None:
        raise no_message()
    return hold_conversation(session, user_id, conversation_id), message_in(session, conversation_id, message_id)


def message_in(session: Session, conversation_id: UUID, message_id: UUID) -> ChatMessage:
    """Raises NotFound for one of another conversation, and for one that was deleted a moment ago."""
    here = select(ChatMessage).where(ChatMessage.id == message_id, ChatMessage.conversation_id == conversation_id)
    message = session.scalars(here).one_or_none()
    if message is None:
        raise no_message()
    return message


def no_conversation() -> NotFound:
    return NotFound("You have no conversation with this ID")


def no_message() -> NotFound:
    return NotFound("You have no message with this ID")


def _mine(user_id: UUID, conversation_id: UUID) -> Select[Conversation]:
    return select(Conversation).where(Conversation.id == conversation_id, Conversation.user_id == user_id)


def _found(session: Session, query: Select[Conversation]) -> Conversation:
    conversation = session.scalars(query).one_or_none()
    if conversation is None:
        raise no_conversation()
    return conversation
