"""The rows with which a reply begins: its own, that of the message before it, and their conversation's.

In one statement, because a commit and a round trip for each of them is most of what comes before the provider is asked.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg2.errors import ForeignKeyViolation
from sqlalchemy import Engine

from capabilities.chat.conversations.announce import CHANNEL, Change
from capabilities.chat.conversations.branches import MOST_MESSAGES
from capabilities.chat.conversations.hold import no_conversation, no_message
from capabilities.chat.conversations.problems import ConversationFull
from capabilities.chat.conversations.title import title_of
from capabilities.chat.models import TitleSource
from capabilities.chat.replies.generation import Ids
from capabilities.chat.replies.rows import OWNER_SECONDS
from database.one_statement import rows_of
from providers.catalogue import Model

PARENT_EXISTS: Final = "fk_chat_messages_parent_id_chat_messages"
MAKE: Final = """
    WITH held AS (
        INSERT INTO chat_conversations
            (id, user_id, title, title_source, current_leaf_id, message_count, last_message_at, created_at, updated_at)
        VALUES (%(conversation)s, %(user)s, %(title)s, %(title_source)s, %(reply)s, %(count)s, %(now)s, %(now)s, %(now)s)
        ON CONFLICT (id) DO NOTHING
        RETURNING id
    ), room AS (
        SELECT id FROM held
    )"""
HOLD: Final = """
    WITH held AS (
        SELECT id, message_count FROM chat_conversations
        WHERE id = %(conversation)s AND user_id = %(user)s
        FOR NO KEY UPDATE
    ), room AS (
        SELECT id FROM held WHERE message_count + %(count)s <= %(most)s
    )"""
WRITE: Final = """, own AS (
        INSERT INTO chat_messages (id, conversation_id, user_id, parent_id, role, content, state, created_at)
        SELECT %(message)s::uuid, id, %(user)s::uuid, %(parent)s::uuid, 'user', %(content)s, 'complete', %(now)s
        FROM room WHERE %(content)s IS NOT NULL
        ON CONFLICT (id) DO NOTHING
    ), reply AS (
        INSERT INTO chat_messages (id, conversation_id, user_id, parent_id, role, content, state, model, provider, request_id,
            owner, owner_until, created_at)
        SELECT %(reply)s::uuid, id, %(user)s::uuid, %(message)s::uuid, 'assistant', '', 'pending', %(model)s, %(provider)s,
            %(request)s::uuid, %(owner)s, clock_timestamp() + make_interval(secs => %(owner_seconds)s), %(now)s
        FROM room
        ON CONFLICT (id) DO NOTHING
        RETURNING conversation_id
    )"""
SHOW: Final = """, shown AS (
        UPDATE chat_conversations AS conversation
        SET message_count = message_count + %(count)s, current_leaf_id = %(reply)s,
            last_message_at = %(now)s, updated_at = %(now)s,
            title = coalesce(title, %(title)s),
            title_source = CASE WHEN title IS NULL THEN %(title_source)s ELSE title_source END
        FROM reply WHERE conversation.id = reply.conversation_id
    )"""
TELL: Final = """
    SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM room), (SELECT pg_notify(%(channel)s, %(change)s) FROM reply)"""
IN_NEW: Final = MAKE + WRITE + TELL
IN_HELD: Final = HOLD + WRITE + SHOW + TELL
"""A row that is there already was written by the same statement, whose answer was lost with its connection."""


def write_reply(
    engine: Engine,
    ids: Ids,
    *,
    is_new: bool,
    parent_id: UUID | None,
    content: str | None,
    model: Model,
    request_id: UUID,
    owner: str,
    now: datetime,
) -> None:
    """`is_new`: the conversation is made. `content` of the message before the reply, under `parent_id`, is None where that is there.
    The conversation then shows the reply. Raises NotFound and ConversationFull for what changed meanwhile.
    """
    change = Change(ids.user_id, ids.conversation_id, ids.message_id, owner)
    parameters = {
        "conversation": str(ids.conversation_id),
        "user": str(ids.user_id),
        "message": str(ids.user_message_id),
        "reply": str(ids.message_id),
        "parent": None if parent_id is None else str(parent_id),
        "content": content,
        "title": None if content is None else title_of(content),
        "title_source": None if content is None else TitleSource.FIRST_MESSAGE.value,
        "count": 1 if content is None else 2,
        "most": MOST_MESSAGES,
        "model": model.id,
        "provider": model.provider,
        "request": str(request_id),
        "owner": owner,
        "owner_seconds": OWNER_SECONDS,
        "now": now,
        "channel": CHANNEL,
        "change": change.payload(),
    }
    try:
        held, room, _ = rows_of(engine, IN_NEW if is_new else IN_HELD, parameters)[0]
    except ForeignKeyViolation as error:
        if error.diag.constraint_name != PARENT_EXISTS:
            raise
        raise no_message() from None  # it was deleted a moment ago
    if is_new:
        return
    if not held:
        raise no_conversation()
    if not room:
        raise ConversationFull
