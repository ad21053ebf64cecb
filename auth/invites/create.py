"""Making an invite code."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from auth.assembly import Auth
from auth.audit.record import record
from auth.invites.models import Invite
from auth.tokens.typed_code import new_code
from database import transaction
from database.base import uuid7


@dataclass(frozen=True)
class NewInvite:
    """`code` is stored as a keyed hash alone, so it is known this once."""

    id: UUID
    code: str
    expires_at: datetime


def create_invite(auth: Auth, *, uses: int, lifetime: timedelta, note: str | None, by: str | None) -> NewInvite:
    """A code with which that many accounts can be made. `by` is who makes it, for the list."""
    now = auth.clock()
    made = NewInvite(uuid7(), new_code(), now + lifetime)
    invite = Invite(
        id=made.id,
        code_hash=auth.invite_codes.hash_of(made.code),
        max_uses=uses,
        note=note,
        created_by=by,
        created_at=now,
        expires_at=made.expires_at,
    )
    with transaction() as session:
        session.add(invite)
        record(session, "invite_created", now, user_id=None, invite_id=str(made.id), uses=uses)
    return made
