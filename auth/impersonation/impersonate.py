"""A member of the staff looks at the service as one user, for a quarter of an hour, reading only."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.assembly import Auth
from auth.audit.record import record
from auth.impersonation.models import Impersonation
from auth.models import User
from auth.principal import Principal, Role
from auth.tokens.access_token import IssuedToken
from database import transaction
from database.base import uuid7
from security.edge.problems import NotFound, Problem

LONGEST = timedelta(minutes=15)


class NotToBeImpersonated(Problem):
    """Disabled, or not below the caller's role."""

    status, error, title = 403, "not_to_be_impersonated", "You cannot view this account"


def impersonate(auth: Auth, actor: Principal, user_id: UUID, reason: str) -> tuple[UUID, IssuedToken]:
    """Its id and token. Begins, and ends what the actor impersonated before. Raises NotFound, NotToBeImpersonated."""
    now = auth.clock()
    impersonation_id, expires_at = uuid7(), now + LONGEST
    with transaction() as session:
        user = session.execute(
            select(User.role, User.is_active).where(User.id == user_id).with_for_update(read=True, key_share=True)
        ).one_or_none()
        if user is None:
            raise NotFound
        if not user.is_active or not actor.role.outranks(Role(user.role)):
            raise NotToBeImpersonated
        # Two beginnings at once take turns at the actor's row, so that each finds the other's.
        session.execute(select(User.id).where(User.id == actor.user_id).with_for_update(key_share=True))
        _end(session, actor.user_id, now)
        session.execute(
            insert(Impersonation).values(
                id=impersonation_id,
                actor_id=actor.user_id,
                actor_session_id=actor.session_id,
                user_id=user_id,
                reason=reason,
                started_at=now,
                expires_at=expires_at,
            )
        )
        record(session, "impersonation_started", now, user_id=user_id, actor_id=actor.user_id, reason=reason)
    token = auth.access_tokens.issue(
        user_id=user_id, session_id=impersonation_id, auth_time=now, not_after=expires_at, actor_id=actor.user_id
    )
    return impersonation_id, token


def stop_impersonating(auth: Auth, actor_id: UUID) -> None:
    """Its token stops at once. Can be repeated."""
    with transaction() as session:
        _end(session, actor_id, auth.clock())


def _end(session: Session, actor_id: UUID, now: datetime) -> None:
    ended = session.execute(
        update(Impersonation)
        .where(Impersonation.actor_id == actor_id, Impersonation.ended_at.is_(None))
        .values(ended_at=now)
        .returning(Impersonation.user_id, Impersonation.reason, Impersonation.expires_at)
    )
    for user_id, reason, expires_at in ended.all():
        # One that ran out by itself was announced with its end; what is written here is only that it stopped earlier.
        if now < expires_at:
            record(session, "impersonation_stopped", now, user_id=user_id, actor_id=actor_id, reason=reason)
