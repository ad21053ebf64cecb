"""Taking an invite back. Accounts that were made with it stay."""

from typing import Any
from uuid import UUID

from auth.assembly import Auth
from auth.audit.record import record
from auth.invites.models import Invite
from database import transaction
from security.edge.problems import NotFound


def revoke_invite(auth: Auth, invite_id: UUID, *, actor_id: UUID | None = None, reason: str | None = None) -> None:
    """Can be repeated. `actor_id` is None for an operator's command. Raises NotFound."""
    now = auth.clock()
    with transaction() as session:
        invite = session.get(Invite, invite_id, with_for_update=True)
        if invite is None:
            raise NotFound("No invite has this ID")
        if invite.revoked_at is None:
            invite.revoked_at = now
            because: dict[str, Any] = {} if reason is None else {"reason": reason}
            record(session, "invite_revoked", now, user_id=None, actor_id=actor_id, invite_id=str(invite_id), **because)
