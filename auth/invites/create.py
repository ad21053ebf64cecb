"""Making an invite code."""

from datetime import timedelta
from uuid import UUID

from auth.assembly import Auth
from auth.audit.record import record
from auth.invites.bodies import NewInviteAnswer
from auth.invites.list import invite_answer
from auth.invites.models import Invite
from auth.tokens.typed_code import new_code
from database import transaction
from database.base import uuid7


def create_invite(
    auth: Auth, *, uses: int, lifetime: timedelta, note: str | None, by: str | None, actor_id: UUID | None = None
) -> NewInviteAnswer:
    """A code with which that many accounts can be made. It is stored as a keyed hash alone, so it is known this once.

    `by` is who makes it, for the list; `actor_id` whose account that is, None for an operator's command.
    """
    now, code = auth.clock(), new_code()
    invite = Invite(
        id=uuid7(),
        code_hash=auth.invite_codes.hash_of(code),
        max_uses=uses,
        uses=0,
        note=note,
        created_by=by,
        created_at=now,
        expires_at=now + lifetime,
    )
    made = NewInviteAnswer(code=code, **dict(invite_answer(invite, now)))
    with transaction() as session:
        session.add(invite)
        record(session, "invite_created", now, user_id=None, actor_id=actor_id, invite_id=str(made.id), uses=uses)
    return made
