"""Replies whose process died: their text is kept, and what they held is given back."""

from uuid import UUID

from sqlalchemy import func, select, update

from capabilities.chat.metrics import SWEPT
from capabilities.chat.models import RUNNING, ChatMessage, MessageState
from capabilities.chat.replies.ended import ReplyInterrupted
from database import reading, transaction
from database.batch import not_passed_over, work_through
from metering.abandon import abandon

BATCH = "chat_replies"
PORTION = 1000
SILENT = (ChatMessage.state.in_(RUNNING), ChatMessage.owner_until < func.clock_timestamp())


def sweep_replies() -> int:
    """Returns how many there were. The owner stays in the row: one that was only slow writes on, and its end is the truth."""
    silent = select(ChatMessage.id).where(*SILENT, not_passed_over(BATCH, ChatMessage.id)).limit(PORTION)
    with reading() as session:
        ids = session.scalars(silent).all()
    return work_through(BATCH, ids, _sweep)


def _sweep(message_id: UUID) -> int:
    silent = update(ChatMessage).where(ChatMessage.id == message_id, *SILENT)
    failed = silent.values(
        state=MessageState.FAILED, error_code=ReplyInterrupted.error, finished_at=func.clock_timestamp()
    )
    with transaction() as session:
        found = session.execute(failed.returning(ChatMessage.user_id, ChatMessage.request_id)).one_or_none()
        if found is None:
            return 0
        user_id, request_id = found
        if request_id is not None:
            abandon(session, user_id, request_id)
    SWEPT.inc()
    return 1
