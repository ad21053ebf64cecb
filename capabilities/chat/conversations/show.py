"""Rows as they are answered."""

from collections.abc import Sequence
from uuid import UUID

from capabilities.chat.conversations.bodies import ConversationAnswer, MessageAnswer, ReplyUsage
from capabilities.chat.models import ChatMessage, Conversation, MessageRole, MessageState, TitleSource


def conversation_answer(row: Conversation) -> ConversationAnswer:
    return ConversationAnswer(
        id=row.id,
        title=row.title,
        title_source=None if row.title_source is None else TitleSource(row.title_source),
        system_prompt=row.system_prompt,
        model=row.model,
        max_tokens=row.max_tokens,
        temperature=row.temperature,
        pinned=row.pinned,
        archived=row.archived_at is not None,
        current_leaf_id=row.current_leaf_id,
        message_count=row.message_count,
        last_message_at=row.last_message_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def message_answer(row: ChatMessage, sibling_ids: Sequence[UUID]) -> MessageAnswer:
    return MessageAnswer(
        id=row.id,
        conversation_id=row.conversation_id,
        parent_id=row.parent_id,
        sibling_ids=list(sibling_ids),
        role=MessageRole(row.role),
        content=row.content,
        state=MessageState(row.state),
        model=row.model,
        provider=row.provider,
        finish_reason=row.finish_reason,
        error=row.error_code,
        usage=_usage(row),
        cost_cents=row.price_micros,
        rating=row.rating,
        rating_comment=row.rating_comment,
        created_at=row.created_at,
        edited_at=row.edited_at,
        finished_at=row.finished_at,
    )


def _usage(row: ChatMessage) -> ReplyUsage | None:
    if row.input_tokens is None or row.output_tokens is None:
        return None
    return ReplyUsage(input_tokens=row.input_tokens, output_tokens=row.output_tokens, estimated=bool(row.estimated))
