"""Exports: all that is held about a user, collected by a job when the user asks, to be downloaded for a week.

The e-mail that says so contains none of it.
"""

from datetime import datetime, timedelta
from uuid import UUID

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.account_change import hold_account
from auth.assembly import Auth
from auth.audit.record import record
from auth.exports.bodies import ExportAnswer
from auth.exports.models import DataExport
from auth.models import User
from database import reading, transaction
from database.jobs.declare import JobName, Urgency, enqueue_job
from database.pages import Page, newest_first, page_of
from security.api.cursor import ListQuery
from security.edge.problems import NotFound, Problem, TooManyRequests

COLLECT_EXPORT = JobName("collect_export", Urgency.LATER)
KEPT = timedelta(days=7)
BETWEEN_TWO = timedelta(days=1)


class ExportNotReady(Problem):
    status, error = 409, "export_not_ready"
    title = "Your export is not ready yet. We will send you an e-mail when it is"


def request_export(auth: Auth, user_id: UUID, session_id: UUID) -> ExportAnswer:
    """Raises TooManyRequests within a day of the last one."""
    now = auth.clock()
    with transaction() as session:
        hold_account(session, user_id)  # so that of two requests at once one sees the other
        last = session.scalars(
            select(DataExport.requested_at)
            .where(DataExport.user_id == user_id, DataExport.requested_at > now - BETWEEN_TWO)
            .order_by(DataExport.requested_at.desc())
            .limit(1)
        ).one_or_none()
        if last is not None:
            raise TooManyRequests((last + BETWEEN_TWO - now).total_seconds(), "You can request one export a day")
        row = DataExport(user_id=user_id, requested_at=now, expires_at=now + KEPT)
        session.add(row)
        session.flush()
        enqueue_job(session, COLLECT_EXPORT, export_id=str(row.id))
        record(session, "data_export_requested", now, user_id=user_id, session_id=session_id)
        return ExportAnswer.model_validate(row, from_attributes=True)


def list_exports(user_id: UUID, now: datetime, asked: ListQuery) -> Page[ExportAnswer]:
    """The newest first."""
    query = select(DataExport).where(DataExport.user_id == user_id, DataExport.expires_at > now)
    with reading() as session:
        rows = session.scalars(newest_first(query, DataExport.id, asked.cursor, asked.limit))
        return page_of([ExportAnswer.model_validate(row, from_attributes=True) for row in rows], asked.limit)


def download_export(auth: Auth, user_id: UUID, session_id: UUID, export_id: UUID) -> bytes:
    """JSON. Raises NotFound, also for that of somebody else, and ExportNotReady."""
    now = auth.clock()
    with transaction() as session:
        found = session.execute(
            select(DataExport.content).where(
                DataExport.id == export_id, DataExport.user_id == user_id, DataExport.expires_at > now
            )
        ).one_or_none()
        if found is None:
            raise NotFound
        if found.content is None:
            raise ExportNotReady
        content: str = found.content
        record(session, "data_export_downloaded", now, user_id=user_id, session_id=session_id)
    return content.encode()


def collect_export(auth: Auth, export_id: str) -> int:
    """The job. Says how many bytes were collected; 0 when that was done before, or the account was deleted meanwhile."""
    now = auth.clock()
    with transaction() as session:
        row = session.get(DataExport, UUID(export_id), with_for_update=True)
        if row is None or row.ready_at is not None:
            return 0
        email = session.scalars(select(User.email).where(User.id == row.user_id)).one()
        row.content, row.ready_at = _collected(auth, session, row.user_id, now), now
        auth.mailer.enqueue(
            session,
            "export_ready",
            email,
            until=f"{row.expires_at:%d %B %Y, %H:%M} UTC",
            base_url=auth.mailer.base_url,
        )
        return len(row.content)


def _collected(auth: Auth, session: Session, user_id: UUID, now: datetime) -> str:
    parts = {part.name: part.export(session, user_id) for part in auth.personal_data}
    document = {"user_id": user_id, "collected_at": now, "parts": parts}
    return orjson.dumps(document, option=orjson.OPT_UTC_Z).decode()
