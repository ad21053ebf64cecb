"""Deleting conversations. Their messages go with them, and so does a reply that is being written: its process finds no row."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from capabilities.chat.conversations.announce import Change
from capabilities.chat.conversations.hold import no_conversation
from capabilities.chat.models import Conversation
from database import transaction

PORTION = 5_000
"""Messages that go with one statement, which stays far below the statement timeout."""


def delete_conversation(user_id: UUID, conversation_id: UUID) -> None:
    """Raises NotFound."""
    with transaction() as session:
        if not delete_these(session, Conversation.id == conversation_id, Conversation.user_id == user_id):
            raise no_conversation()


def delete_all(user_id: UUID, now: datetime) -> None:
    """Those that there are now."""
    deleted = 1
    while deleted:
        with transaction() as session:
            deleted = delete_portion(session, Conversation.user_id == user_id, Conversation.created_at <= now)


def delete_portion(session: Session, *conditions: ColumnElement[bool]) -> int:
    """As many of these conversations as have PORTION messages, or a larger one. Says how many; 0 when none is left."""
    before = func.sum(Conversation.message_count).over(order_by=Conversation.id) - Conversation.message_count
    some = select(Conversation.id, before.label("before")).where(*conditions).subquery()
    return delete_these(session, Conversation.id.in_(select(some.c.id).where(some.c.before < PORTION)))


def delete_these(session: Session, *conditions: ColumnElement[bool]) -> int:
    query = delete(Conversation).where(*conditions).returning(Conversation.user_id, Conversation.id)
    deleted = session.execute(query.execution_options(synchronize_session=False)).all()
    several = len(deleted) > 1
    for change in {Change(user_id, None if several else conversation_id) for user_id, conversation_id in deleted}:
        change.announce(session)
    return len(deleted)
