"""Taking API keys away. They stop within one request."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from auth.account_change import AccountChange, account_change
from auth.api_keys.list import is_live
from auth.assembly import Auth
from auth.audit.record import record
from auth.models import ApiKey, User
from security.edge.problems import NotFound


def revoke_api_key(auth: Auth, user_id: UUID, session_id: UUID, key_id: UUID) -> None:
    """Can be repeated: a client that asks again may have met a process that stopped before it dropped the copies.

    Raises NotFound when the user has no such key.
    """
    now = auth.clock()
    with account_change(auth.states, now) as change:
        user, session = change.hold(User.id == user_id), change.session
        key = session.scalars(select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id)).one_or_none()
        if user is None or key is None:
            raise NotFound
        if key.revoked_at is not None:
            change.announce_again(user)
            return
        key.revoked_at = now
        change.permission_changed(user_id)
        record(session, "api_key_revoked", now, user_id=user_id, session_id=session_id, key_id=str(key_id))


def revoke_api_keys(change: AccountChange, user_id: UUID, *, since: datetime | None = None) -> int:
    """Revoke all keys of a user, or those that were made since then; says how many. The caller holds the user's row."""
    query = update(ApiKey).where(ApiKey.user_id == user_id, is_live(change.now))
    if since is not None:
        query = query.where(ApiKey.created_at >= since)
    revoked = change.session.execute(query.values(revoked_at=change.now).returning(ApiKey.id))
    change.permission_changed(user_id)
    return len(revoked.all())
