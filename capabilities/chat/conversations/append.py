"""Messages at the end of a branch."""

from datetime import datetime

from sqlalchemy.orm import Session

from capabilities.chat.conversations.branches import MOST_MESSAGES
from capabilities.chat.conversations.problems import ConversationFull
from capabilities.chat.models import ChatMessage, Conversation, MessageRole, TitleSource

LONGEST_TITLE = 100


def append(session: Session, conversation: Conversation, now: datetime, *messages: ChatMessage) -> None:
    """Each has its id and its parent. The conversation, which the caller holds, then shows the last one. Raises ConversationFull."""
    if conversation.message_count + len(messages) > MOST_MESSAGES:
        raise ConversationFull
    session.add_all(messages)
    conversation.message_count += len(messages)
    conversation.current_leaf_id = messages[-1].id
    conversation.last_message_at = conversation.updated_at = now
    if conversation.title is None and messages[0].role == MessageRole.USER:
        conversation.title, conversation.title_source = title_of(messages[0].content), TitleSource.FIRST_MESSAGE


def title_of(content: str) -> str:
    """Its first line that says something, shortened."""
    line = next((line for line in map(str.strip, content.splitlines()) if line), "")
    return line if len(line) <= LONGEST_TITLE else f"{line[:LONGEST_TITLE - 1].rstrip()}…"
