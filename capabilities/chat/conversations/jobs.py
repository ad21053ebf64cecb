"""The job of CHAT_RETENTION_DAYS: conversations are deleted so long after their last message."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from capabilities.chat.conversations.delete import delete_these
from capabilities.chat.models import Conversation
from database import reading, transaction
from database.base import Clock
from database.batch import not_passed_over, work_through
from database.jobs.declare import Job

BATCH = "purge_conversations"
PORTION = 500
MOST_PORTIONS = 200


def retention_jobs(clock: Clock, days: int) -> tuple[Job, ...]:
    """`days` 0: none, for conversations are kept."""
    if not days:
        return ()
    return (Job(BATCH, lambda: purge_conversations(clock() - timedelta(days=days)), cron="23 * * * *"),)


def purge_conversations(before: datetime) -> int:
    """Each in a transaction of its own, because one can have 5,000 messages. Returns how many were deleted."""

    def delete_one(conversation_id: UUID) -> int:
        with transaction() as session:  # a message may have come meanwhile
            return delete_these(session, Conversation.id == conversation_id, old)

    old = Conversation.last_message_at < before
    query = select(Conversation.id).where(old, not_passed_over(BATCH, Conversation.id))
    deleted = 0
    for _ in range(MOST_PORTIONS):
        with reading() as session:
            found = session.scalars(query.order_by(Conversation.last_message_at).limit(PORTION)).all()
        deleted += work_through(BATCH, found, delete_one)
        if len(found) < PORTION:
            break
    return deleted
