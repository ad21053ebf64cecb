"""What leaves with an account although its rows stay: where and with what it was used, and what people wrote about it."""

from uuid import UUID

from sqlalchemy import Text, and_, case, cast, or_, select, update
from sqlalchemy.orm import Session

from auth.audit.models import SecurityEvent
from auth.invites.models import Invite

PORTION = 2_000
REASON = cast("reason", Text)
"""Why the staff looked at an account or changed it: their own text, which may name the user."""


def forget_origins(session: Session, user_id: UUID) -> int:
    """A portion of the audit log, then the note of the invite that made the account. Says how many rows that were.

    The trigger of the audit log allows this and no other change.
    """
    return _in_the_audit_log(session, user_id) or _on_the_invite(session, user_id)


def _in_the_audit_log(session: Session, user_id: UUID) -> int:
    own = SecurityEvent.user_id == user_id
    has_origin = or_(SecurityEvent.ip.is_not(None), SecurityEvent.user_agent.is_not(None))
    has_reason = and_(own, SecurityEvent.detail.has_key("reason"))
    some = select(SecurityEvent.id).where(or_(own, SecurityEvent.actor_id == user_id), or_(has_origin, has_reason))
    detail = case((own, SecurityEvent.detail.op("-")(REASON)), else_=SecurityEvent.detail)
    forgotten = session.execute(
        update(SecurityEvent)
        .where(SecurityEvent.id.in_(some.limit(PORTION)))
        .values(ip=None, user_agent=None, detail=detail)
        .returning(SecurityEvent.id)
    )
    return len(forgotten.all())


def _on_the_invite(session: Session, user_id: UUID) -> int:
    """One for a single account may say for whom."""
    redeemed = select(SecurityEvent.detail["invite_id"].astext).where(
        SecurityEvent.user_id == user_id, SecurityEvent.event == "registered"
    )
    forgotten = session.execute(
        update(Invite)
        .where(cast(Invite.id, Text).in_(redeemed), Invite.max_uses == 1, Invite.note.is_not(None))
        .values(note=None)
        .returning(Invite.id)
    )
    return len(forgotten.all())
