"""Making a conversation, with the first message or before it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from capabilities.chat.conversations.announce import Change
from capabilities.chat.conversations.bodies import ConversationAnswer, NewConversationBody
from capabilities.chat.conversations.show import conversation_answer
from capabilities.chat.models import Conversation, TitleSource
from database import transaction
from database.base import uuid7


def make_conversation(user_id: UUID, body: NewConversationBody, now: datetime) -> ConversationAnswer:
    with transaction() as session:
        conversation = add_conversation(session, user_id, now)
        for name, value in body:
            setattr(conversation, name, value)
        if body.title is not None:
            conversation.title_source = TitleSource.USER
        session.flush()
        Change(user_id, conversation.id).announce(session)
        return conversation_answer(conversation)


def add_conversation(session: Session, user_id: UUID, now: datetime) -> Conversation:
    conversation = Conversation(
        id=uuid7(),
        user_id=user_id,
        pinned=False,
        message_count=0,
        last_message_at=now,
        created_at=now,
        updated_at=now,
    )
    session.add(conversation)
    return conversation
