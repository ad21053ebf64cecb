"""The list of conversations, the one with the newest message first."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, tuple_

from capabilities.chat.conversations.bodies import ConversationAnswer, ConversationsAnswer, ConversationsQuery
from capabilities.chat.conversations.hold import find_conversation
from capabilities.chat.conversations.show import conversation_answer
from capabilities.chat.models import Conversation
from database import reading

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
BITS_OF_ID = 76
"""Of a version 7 UUID: its milliseconds, and 22 random bits."""


def list_conversations(user_id: UUID, wanted: ConversationsQuery) -> ConversationsAnswer:
    archived = Conversation.archived_at.is_not(None) if wanted.archived else Conversation.archived_at.is_(None)
    query = select(Conversation).where(Conversation.user_id == user_id, archived)
    if wanted.pinned is not None:
        query = query.where(Conversation.pinned.is_(wanted.pinned))
    if wanted.cursor is not None:
        place = tuple_(Conversation.last_message_at, Conversation.id)
        query = query.where(place < tuple_(*place_of(wanted.cursor)))
    newest = (Conversation.last_message_at.desc(), Conversation.id.desc())
    with reading() as session:
        found = session.scalars(query.order_by(*newest).limit(wanted.limit + 1)).all()
    page = found[: wanted.limit]
    return ConversationsAnswer(
        conversations=[conversation_answer(row) for row in page],
        next_cursor=cursor_after(page[-1]) if len(found) > wanted.limit else None,
    )


def read_conversation(user_id: UUID, conversation_id: UUID) -> ConversationAnswer:
    """Raises NotFound."""
    with reading() as session:
        return conversation_answer(find_conversation(session, user_id, conversation_id))


def cursor_after(last: Conversation) -> UUID:
    """A place in the list. The row's id alone would not be one: a new message moves it to the top, and then it may be deleted."""
    microseconds = (last.last_message_at - EPOCH) // MICROSECOND
    return UUID(int=microseconds << BITS_OF_ID | last.id.int >> (128 - BITS_OF_ID))


def place_of(cursor: UUID) -> tuple[datetime, UUID]:
    microseconds, beginning = divmod(cursor.int, 1 << BITS_OF_ID)
    return EPOCH + microseconds * MICROSECOND, UUID(int=beginning << (128 - BITS_OF_ID))
