"""What operators do with e-mails that failed: look at them, send them again, or drop them.

Sending one again takes it out of the table and enqueues its job anew, in one transaction. It may fail and be kept again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.orm import Session

from auth.audit.record import record
from auth.email_codes.models import OneTimeCode
from auth.mail.messages import SEND_EMAIL
from auth.mail.models import DeadEmail
from database import reading, transaction
from database.batch import work_through
from database.jobs.declare import JobName, Urgency, enqueue_job
from database.jobs.models import JOBS
from database.pages import Page, newest_first, page_of

SEND_DEAD_EMAILS = JobName("send_dead_emails", Urgency.MAIL)


@dataclass(frozen=True)
class ListedEmail:
    """`address` is masked. `outdated`: the link in it has been used or has run out, so it is not sent any more."""

    id: UUID
    user_id: UUID
    template: str
    address: str
    reason: str
    failed_at: datetime
    outdated: bool


def list_dead_emails(now: datetime, *, cursor: UUID | None = None, limit: int) -> Page[ListedEmail]:
    """The newest first."""
    query = select(DeadEmail, _outdated(now))
    with reading() as session:
        rows = session.execute(newest_first(query, DeadEmail.id, cursor, limit)).all()
        return page_of([_listed(*row) for row in rows], limit)


def read_dead_email(email_id: UUID, now: datetime) -> ListedEmail | None:
    with reading() as session:
        query = select(DeadEmail, _outdated(now)).where(DeadEmail.id == email_id)
        row = session.execute(query).one_or_none()
        return None if row is None else _listed(*row)


def count_dead_emails() -> int:
    with reading() as session:
        return session.scalars(select(func.count()).select_from(DeadEmail)).one()


def _listed(row: DeadEmail, outdated: bool) -> ListedEmail:
    return ListedEmail(row.id, row.user_id, row.template, masked(row.address), row.reason, row.failed_at, outdated)


def _outdated(now: datetime) -> ColumnElement[bool]:
    still_open = exists().where(
        OneTimeCode.id == DeadEmail.code_id, OneTimeCode.used_at.is_(None), OneTimeCode.link_expires_at > now
    )
    return DeadEmail.code_id.is_not(None) & ~still_open


def masked(address: str) -> str:
    """Enough to tell a typing error in the domain from a mail server that is away."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}***@{domain}"


def send_again(email_id: UUID, now: datetime, **by: Any) -> bool:
    """False when there is no such e-mail any more. `by` says who wants it, for the audit log."""
    with transaction() as session:
        email = _take(session, email_id)
        if email is None:
            return False
        _enqueue(session, email)
        record(session, "dead_email_sent_again", now, user_id=email.user_id, template=email.template, **by)
        return True


def drop(email_id: UUID, now: datetime, **by: Any) -> bool:
    """False when there is no such e-mail any more. `by` says who wants it, for the audit log."""
    with transaction() as session:
        email = _take(session, email_id)
        if email is None:
            return False
        record(session, "dead_email_dropped", now, user_id=email.user_id, template=email.template, **by)
        return True


def send_all_again(now: datetime, **by: Any) -> int:
    """Have a job send all those again that are dead now, and say how many they are."""
    with transaction() as session:
        count = session.scalars(select(func.count()).where(DeadEmail.failed_at <= now)).one()
        if count:
            enqueue_job(session, SEND_DEAD_EMAILS, until=now.isoformat())
            record(session, "dead_emails_sent_again", now, user_id=None, count=count, **by)
        return count


def send_dead_emails(*, until: str) -> int:
    """The job. What dies again meanwhile waits for the next time. Says how many were enqueued."""

    def enqueue_one(email_id: UUID) -> int:
        with transaction() as session:
            email = _take(session, email_id)
            if email is None:
                return 0
            _enqueue(session, email)
            return 1

    query = select(DeadEmail.id).where(DeadEmail.failed_at <= datetime.fromisoformat(until))
    with reading() as session:
        ids = session.scalars(query.order_by(DeadEmail.failed_at)).all()
    return work_through(SEND_DEAD_EMAILS, ids, enqueue_one)


def _take(session: Session, email_id: UUID) -> DeadEmail | None:
    """Of two operators, one gets it. The job that failed with it is taken away too."""
    query = delete(DeadEmail).where(DeadEmail.id == email_id).returning(DeadEmail)
    email = session.scalars(query).one_or_none()
    if email is not None and email.job_id is not None:
        session.execute(delete(JOBS).where(JOBS.c.id == email.job_id, JOBS.c.status == "failed"))
    return email


def _enqueue(session: Session, email: DeadEmail) -> None:
    arguments: dict[str, Any] = {"message_id": str(email.id), "template": email.template, "to": email.address}
    if email.code_id is not None:
        arguments |= {"code_id": str(email.code_id), "purpose": email.purpose}
    enqueue_job(session, SEND_EMAIL, **arguments, values=email.values)
