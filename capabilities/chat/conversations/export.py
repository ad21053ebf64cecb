"""A conversation as a file. It is read and sent in portions, and no connection is held while one is sent."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from sqlalchemy import select

from capabilities.chat.conversations.bodies import ConversationAnswer, ExportFormat
from capabilities.chat.conversations.branches import branch
from capabilities.chat.conversations.hold import find_conversation
from capabilities.chat.conversations.list_messages import answers
from capabilities.chat.conversations.show import conversation_answer
from capabilities.chat.models import ChatMessage, MessageRole
from database import reading

PORTION = 50
"""Messages that are in memory at once."""
SPEAKERS = {MessageRole.USER: "You", MessageRole.ASSISTANT: "Assistant"}


def export_conversation(user_id: UUID, conversation_id: UUID, form: ExportFormat) -> Iterator[str]:
    """Raises NotFound before the first piece."""
    with reading() as session:
        conversation = conversation_answer(find_conversation(session, user_id, conversation_id))
    if form is ExportFormat.JSON:
        return _as_json(conversation)
    return _as_markdown(conversation)


def _as_json(conversation: ConversationAnswer) -> Iterator[str]:
    """Every branch, as `ConversationExport` describes it."""
    yield f'{{"conversation":{conversation.model_dump_json()},"messages":['
    query = select(ChatMessage).where(ChatMessage.conversation_id == conversation.id).order_by(ChatMessage.id)
    between, last = "", UUID(int=0)
    while True:
        with reading() as session:
            rows = session.scalars(query.where(ChatMessage.id > last).limit(PORTION)).all()
            told = answers(session, conversation.id, rows)
        for message in told:
            yield between + message.model_dump_json()
            between = ","
        if len(told) < PORTION:
            break
        last = told[-1].id
    yield "]}"


def _as_markdown(conversation: ConversationAnswer) -> Iterator[str]:
    """The current branch."""
    yield f"# {conversation.title or 'Conversation'}\n"
    if conversation.system_prompt is not None:
        yield f"\n## Instructions\n\n{conversation.system_prompt}\n"
    ids = _branch(conversation)
    for first in range(0, len(ids), PORTION):
        with reading() as session:
            found = session.scalars(select(ChatMessage).where(ChatMessage.id.in_(ids[first : first + PORTION]))).all()
        rows = {row.id: row for row in found}
        yield from (_section(rows[id_]) for id_ in ids[first : first + PORTION] if id_ in rows)


def _branch(conversation: ConversationAnswer) -> Sequence[UUID]:
    if conversation.current_leaf_id is None:
        return ()
    path = branch(conversation.id, conversation.current_leaf_id)
    with reading() as session:
        return session.scalars(select(path.c.id).order_by(path.c.step.desc())).all()


def _section(row: ChatMessage) -> str:
    model = "" if row.model is None else f" ({row.model})"
    return f"\n## {SPEAKERS[MessageRole(row.role)]}{model}, {row.created_at:%d %B %Y, %H:%M} UTC\n\n{row.content}\n"
