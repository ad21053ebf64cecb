"""What an impersonation may see now. Asked of PostgreSQL on every request: it is rare, and it has to stop at once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import aliased

from auth.impersonation.models import Impersonation
from auth.models import AuthSession, User
from auth.principal import Principal, Role
from auth.tiers import Tier, effective_tier
from database import reading


def read_impersonated(impersonation_id: UUID, user_id: UUID, actor_id: UUID, now: datetime) -> Principal | None:
    """The user as whom the actor looks; None when it is over, for whatever reason. One query.

    It ends by itself, with the session that began it, and as soon as the actor or the user is disabled or the
    actor's role no longer stands above the user's.
    """
    actor, user = aliased(User), aliased(User)
    query = (
        select(user.tier, user.tier_expires_at, user.role, actor.role.label("actor_role"))
        .select_from(Impersonation)
        .join(actor, actor.id == Impersonation.actor_id)
        .join(user, user.id == Impersonation.user_id)
        .join(AuthSession, AuthSession.id == Impersonation.actor_session_id)
        .where(Impersonation.id == impersonation_id)
        .where(Impersonation.user_id == user_id, Impersonation.actor_id == actor_id)
        .where(Impersonation.ended_at.is_(None), Impersonation.expires_at > now)
        .where(AuthSession.user_id == actor_id, AuthSession.revoked_at.is_(None), AuthSession.expires_at > now)
        .where(actor.is_active, user.is_active)
    )
    with reading() as session:
        row = session.execute(query).one_or_none()
    if row is None or not Role(row.actor_role).outranks(Role(row.role)):
        return None
    return Principal(
        user_id=user_id,
        session_id=impersonation_id,
        tier=effective_tier(Tier(row.tier), row.tier_expires_at, now),
        cached=None,
        impersonated_by=actor_id,
    )
