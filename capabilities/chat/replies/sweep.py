"""Replies whose process died: their text is kept, and what they held is given back."""

from uuid import UUID

from sqlalchemy import func, select, update

from capabilities.chat.metrics import SWEPT
from capabilities.chat.models import RUNNING, ChatMessage, MessageState
from capabilities.chat.replies.ended import SHUTDOWN, ReplyInterrupted
from database import reading, transaction
from database.batch import not_passed_over, work_through
from metering.abandon import abandon
from metering.models import RequestLog

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
        counted = None if request_id is None else abandon(session, user_id, request_id)
        if counted is not None:
            session.execute(update(ChatMessage).where(ChatMessage.id == message_id).values(_stopped(counted)))
    SWEPT.inc()
    return 1


def _stopped(counted: RequestLog) -> dict[str, object]:
    """What the row is to say of a reply whose process was killed when it had counted it, and not yet written that down. The last
    second of its text may be missing.
    """
    units, details = counted.units or {}, counted.details or {}
    return {
        "state": MessageState.STOPPED,
        "error_code": SHUTDOWN,
        "input_tokens": units.get("input_tokens"),
        "output_tokens": units.get("output_tokens"),
        "estimated": details.get("estimated"),
        "cost_micros": counted.cost_micros,
    }
