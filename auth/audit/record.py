"""The audit log: what happens to accounts is written down in the transaction that does it.

The events are those of OWASP ASVS 5, 16.3. A line in the log goes with each row, for alerting; the rows are the record.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import has_request_context, request
from sqlalchemy.orm import Session

from auth.audit.models import SecurityEvent
from auth.device import printable
from auth.metrics import count_event
from database.base import uuid7
from security.edge.client_address import client_address
from security.edge.request_id import current_request_id
from security.logs.log import security_event

NOTABLE = frozenset(
    {
        "api_key_used_from_new_network",
        "email_change_undone",
        "impersonation_started",
        "many_wrong_passwords",
        "one_time_code_refused",
        "passkey_sign_count_went_back",
        "reauthentication_failed",
        "recovery_code_used",
        "refresh_token_reused",
        "registration_of_taken_address",
        "restoring_failed",
        "second_factor_failed",
        "sign_in_failed",
        "ssh_destination_refused",
        "ssh_host_key_changed",
    }
)
"""What may be an attack, and is a warning in the log. The rest is what people do every day."""


def record(
    session: Session,
    event: str,
    now: datetime,
    *,
    user_id: UUID | None,
    actor_id: UUID | None = None,
    session_id: UUID | None = None,
    **detail: Any,
) -> None:
    """Add one event. `event` is a snake_case name in the past tense; `detail` holds JSON values, none of them secret."""
    in_request = has_request_context()
    session.add(
        SecurityEvent(
            id=uuid7(),
            occurred_at=now,
            event=event,
            user_id=user_id,
            actor_id=actor_id,
            session_id=session_id,
            ip=client_address() if in_request else None,
            user_agent=printable(request.environ.get("HTTP_USER_AGENT")) if in_request else None,
            request_id=current_request_id(),
            detail=detail,
        )
    )
    count_event(event, detail.get("method"))
    ids = {"user_id": user_id, "actor_id": actor_id, "session_id": session_id}
    given = {name: value for name, value in ids.items() if value is not None}
    security_event(event, notable=event in NOTABLE, **given, **detail)
