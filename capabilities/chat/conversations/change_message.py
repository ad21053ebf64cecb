"""What may be changed of a message: the rating of a reply, and the text of what the user sent."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from capabilities.chat.conversations.announce import Change
from capabilities.chat.conversations.bodies import EditBody, MessageAnswer, RateBody
from capabilities.chat.conversations.hold import hold_conversation_of
from capabilities.chat.conversations.list_messages import answers
from capabilities.chat.conversations.problems import ReplyRunning
from capabilities.chat.models import RUNNING, ChatMessage, MessageRole
from database import transaction
from security.edge.problems import ValidationFailed, field_error


def change_message(user_id: UUID, message_id: UUID, change: RateBody | EditBody, now: datetime) -> MessageAnswer:
    """Raises NotFound, ReplyRunning while this reply or the one to this message is written, and ValidationFailed for a rating of
    what the user wrote or another text of a reply.
    """
    with transaction() as session:
        conversation, message = hold_conversation_of(session, user_id, message_id)
        is_reply = message.role == MessageRole.ASSISTANT
        if isinstance(change, RateBody) != is_reply:
            field, words = ("content", "A reply cannot be edited") if is_reply else ("rating", "Only replies are rated")
            raise ValidationFailed([field_error([field], "wrong_role", words)])
        if _is_running(session, message):
            raise ReplyRunning
        if isinstance(change, RateBody):
            message.rating = change.rating
            if "rating_comment" in change.model_fields_set:
                message.rating_comment = change.rating_comment
        else:
            message.content, message.edited_at = change.content, now
        session.flush()
        Change(user_id, conversation.id).announce(session)
        return answers(session, conversation.id, [message])[0]


def _is_running(session: Session, message: ChatMessage) -> bool:
    """It, or a reply to it."""
    here = exists().where(
        ChatMessage.conversation_id == message.conversation_id,
        ChatMessage.state.in_(RUNNING),
        (ChatMessage.id == message.id) | (ChatMessage.parent_id == message.id),
    )
    return bool(session.scalars(select(here)).one())
