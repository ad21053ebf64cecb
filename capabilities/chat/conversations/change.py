"""Changing a conversation: its title, what is sent with its messages, where it is listed, which branch it shows."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from capabilities.chat.conversations.announce import Change
from capabilities.chat.conversations.bodies import ChangeConversationBody, ConversationAnswer
from capabilities.chat.conversations.branches import newest_leaf
from capabilities.chat.conversations.hold import hold_conversation, message_in
from capabilities.chat.conversations.show import conversation_answer
from capabilities.chat.conversations.title import title_of
from capabilities.chat.models import ChatMessage, Conversation, TitleSource
from database import transaction

AS_THEY_ARE = frozenset({"system_prompt", "model", "max_tokens", "temperature", "pinned"})


def change_conversation(
    user_id: UUID, conversation_id: UUID, body: ChangeConversationBody, now: datetime
) -> ConversationAnswer:
    """Raises NotFound, also for a leaf that is not of this conversation."""
    sent = body.model_fields_set
    with transaction() as session:
        conversation = hold_conversation(session, user_id, conversation_id)
        for name in sent & AS_THEY_ARE:
            setattr(conversation, name, getattr(body, name))
        if "title" in sent:
            _entitle(session, conversation, body.title)
        if "archived" in sent:
            conversation.archived_at = (conversation.archived_at or now) if body.archived else None
        if body.current_leaf_id is not None:
            chosen = message_in(session, conversation_id, body.current_leaf_id)
            conversation.current_leaf_id = newest_leaf(session, conversation_id, chosen.id)
        conversation.updated_at = now
        Change(user_id, conversation_id).announce(session)
        return conversation_answer(conversation)


def _entitle(session: Session, conversation: Conversation, title: str | None) -> None:
    source: TitleSource | None = TitleSource.USER
    if title is None:
        first = select(ChatMessage.content).where(
            ChatMessage.conversation_id == conversation.id, ChatMessage.parent_id.is_(None)
        )
        content = session.scalars(first.order_by(ChatMessage.id).limit(1)).one_or_none()
        title, source = (None, None) if content is None else (title_of(content), TitleSource.FIRST_MESSAGE)
    conversation.title, conversation.title_source = title, source
