"""Taking API keys away. They stop within one request."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth.account_state import raise_state_version
from auth.api_key_models import ApiKey
from auth.assembly import Auth
from auth.audit import record
from auth.list_api_keys import is_live
from database import transaction
from security.problems import NotFound


def revoke_api_key(auth: Auth, user_id: UUID, session_id: UUID, key_id: UUID) -> None:
    """Can be repeated: a client that asks again may have met a process that stopped before it dropped the copies.

    Raises NotFound when the user has no such key.
    """
    now = auth.clock()
    with transaction() as session:
        version = raise_state_version(session, user_id, now)
        key = session.scalars(select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id)).one_or_none()
        if key is None or version is None:
            raise NotFound
        if key.revoked_at is None:
            key.revoked_at = now
            record(session, "api_key_revoked", now, user_id=user_id, session_id=session_id, key_id=str(key_id))
    auth.states.changed(user_id, version)


def revoke_api_keys(session: Session, user_id: UUID, now: datetime, *, since: datetime | None = None) -> int:
    """Revoke all keys of a user, or those that were made since then; says how many.

    In the caller's transaction, which holds the user's row, raises the state's version and calls `AccountStates.changed`
    after its commit.
    """
    query = update(ApiKey).where(ApiKey.user_id == user_id, is_live(now))
    if since is not None:
        query = query.where(ApiKey.created_at >= since)
    revoked = session.execute(
        query.values(revoked_at=now).returning(ApiKey.id).execution_options(synchronize_session=False)
    )
    return len(revoked.all())
