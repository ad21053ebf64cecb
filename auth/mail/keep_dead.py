"""An e-mail that is not tried any more is kept for 30 days, so that an operator can send it again."""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert

from auth.email_address import parse_email
from auth.email_codes.models import OneTimeCode
from auth.mail.models import DeadEmail
from auth.models import User
from database import transaction


def keep_dead_email(
    error: Exception,
    now: datetime,
    *,
    message_id: str,
    template: str,
    to: str,
    values: dict[str, Any],
    code_id: str | None = None,
    purpose: str | None = None,
    job_id: int | None = None,
) -> None:
    """Only as part of an account, so that it goes when that goes: one whose code is void, or that is for an address that no
    account has, would reach nobody who waits for it. `job_id`: of the job that failed with it.
    """
    row = {
        "template": template,
        "address": to,
        "values": values,
        "code_id": None if code_id is None else UUID(code_id),
        "purpose": purpose,
        "job_id": job_id,
        "reason": type(error).__name__,
        "failed_at": now,
    }
    with transaction() as session:
        owner = session.scalars(_owner(to, code_id)).one_or_none()
        if owner is not None:
            session.execute(
                insert(DeadEmail).values(id=UUID(message_id), user_id=owner, **row).on_conflict_do_nothing()
            )
    structlog.get_logger().error(
        "email_dead", message_id=message_id, template=template, reason=type(error).__name__, kept=owner is not None
    )


def _owner(to: str, code_id: str | None) -> Select[UUID]:
    if code_id is not None:
        return select(OneTimeCode.user_id).where(OneTimeCode.id == UUID(code_id))
    return select(User.id).where(User.email_key == parse_email(to).key)
