"""E-mails with a link and six digits, and those that anybody can request by naming an address."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.assembly import Auth
from auth.audit.record import record
from auth.email_address import EmailAddress
from auth.email_codes.one_time_codes import Purpose
from auth.models import User
from database import transaction
from database.jobs.declare import JobName, Urgency, enqueue_job
from security.edge.request_id import current_request_id

SEND_REQUESTED_EMAIL = JobName("send_requested_email", Urgency.MAIL)


def send_code(
    auth: Auth,
    session: Session,
    purpose: Purpose,
    user_id: UUID,
    address: str,
    *,
    now: datetime,
    session_id: UUID | None = None,
    **values: Any,
) -> None:
    """Begin a code and send the e-mail that is named after its purpose. The caller holds the user's row."""
    code = auth.one_time_codes.begin(session, user_id, purpose, address, now, session_id=session_id)
    auth.mailer.enqueue(session, purpose.value, address, code=(code, purpose), address=address, **values)


def request_email(auth: Auth, purpose: Purpose, email: EmailAddress) -> None:
    """For callers who have proved nothing. The account is looked up by a job, so neither answer nor time tells of it.

    Beyond the address's limit nothing is sent, and nobody is told.
    """
    if not auth.mailbox_limits.admits(purpose.value, email):
        return
    with transaction() as session:
        enqueue_job(
            session,
            SEND_REQUESTED_EMAIL,
            purpose=purpose.value,
            email_key=email.key,
            request_id=current_request_id(),
        )


def send_requested_email(auth: Auth, *, purpose: str, email_key: str, request_id: str | None) -> None:
    """The job. Repeated after a crash, it sends another e-mail, whose code voids the one before."""
    wanted, now = Purpose(purpose), auth.clock()
    with transaction() as session:
        user = session.scalars(
            select(User).where(User.email_key == email_key).with_for_update(key_share=True)
        ).one_or_none()
        if user is None:
            return
        if wanted is Purpose.VERIFY_EMAIL:
            if user.is_verified or not user.is_active:
                return
        elif not user.is_active and user.delete_after is None:
            return  # a closed one can still be restored, with the password that is set now
        else:
            record(session, "password_reset_requested", now, user_id=user.id, by_request=request_id)
        send_code(auth, session, wanted, user.id, user.email, now=now)
