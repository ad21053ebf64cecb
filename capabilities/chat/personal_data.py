"""What chat holds about a user: conversations and their messages."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.personal_data import PersonalData, columns_of, rows_of
from capabilities.chat.conversations.delete import delete_portion
from capabilities.chat.models import ChatMessage, Conversation

LONGEST_EXPORT = 64 * 2**20
"""Bytes of text. An export is one value in PostgreSQL; a conversation can be exported by itself."""

CONVERSATION = (
    "id title title_source system_prompt model max_tokens temperature pinned archived_at current_leaf_id message_count"
    " last_message_at created_at updated_at"
)
MESSAGE = (
    "id conversation_id parent_id role content state model provider finish_reason input_tokens output_tokens estimated"
    " cost_micros price_micros rating rating_comment request_id error_code stop_requested_at edited_at created_at"
    " first_token_at finished_at"
)


def export_chat(session: Session, user_id: UUID) -> dict[str, Any]:
    """The newest messages; `messages_are_complete` says whether all of them are there."""
    mine = Conversation.user_id == user_id
    conversations = select(*columns_of(Conversation, CONVERSATION)).where(mine).order_by(Conversation.id)
    total = func.sum(func.octet_length(ChatMessage.content)).over(order_by=ChatMessage.id.desc())
    sizes = (
        select(ChatMessage.id, total.label("total"))
        .where(ChatMessage.conversation_id.in_(select(Conversation.id).where(mine)))
        .subquery()
    )
    messages = select(*columns_of(ChatMessage, MESSAGE)).join(sizes, sizes.c.id == ChatMessage.id)
    complete = select(func.coalesce(func.max(sizes.c.total), 0) <= LONGEST_EXPORT)
    return {
        "conversations": rows_of(session, conversations),
        "messages": rows_of(session, messages.where(sizes.c.total <= LONGEST_EXPORT).order_by(ChatMessage.id)),
        "messages_are_complete": session.scalars(complete).one(),
    }


def erase_chat(session: Session, user_id: UUID) -> int:
    return delete_portion(session, Conversation.user_id == user_id)


CHAT_DATA = PersonalData("chat", export_chat, erase=erase_chat)
