"""Replacing an API key by a new one like it. The old one works on for a while, so that programs can change over."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update

from auth.account_change import account_change, hold_account
from auth.api_keys.bodies import NewKeyAnswer, Overlap
from auth.api_keys.create import KeyRequest, insert_key, refuse_unverified
from auth.api_keys.list import is_live
from auth.assembly import Auth
from auth.audit.record import record
from auth.mail.notices import notify
from auth.models import ApiKey
from security.edge.problems import NotFound, Problem

OVERLAPS = {
    Overlap.NONE: timedelta(),
    Overlap.QUARTER: timedelta(minutes=15),
    Overlap.HOUR: timedelta(hours=1),
    Overlap.DAY: timedelta(hours=24),
}


class ApiKeyReplaced(Problem):
    """A retry would make a second successor, whose token nobody may have seen."""

    status, error, title = 409, "api_key_replaced", "This API key was already replaced. Rotate the new key instead"


def rotate_api_key(auth: Auth, user_id: UUID, session_id: UUID, key_id: UUID, overlap: Overlap) -> NewKeyAnswer:
    """The successor has the same name, scopes, networks and lifetime, counted from now.

    The predecessor of the rotated key, if it still works, ends at once: of two in a row the older is left behind.
    Raises NotFound, ApiKeyReplaced, TooManyRequests, EmailNotVerified, and InvalidToken when the session ended or the user is gone.
    """
    now = auth.clock()
    with account_change(auth.states, now) as change:
        session = change.session
        user = hold_account(session, user_id, session_id)
        refuse_unverified(auth, user)
        query = select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id, is_live(now))
        old = session.scalars(query.with_for_update()).one_or_none()
        if old is None:
            raise NotFound
        if old.replaced_by_id is not None:
            raise ApiKeyReplaced
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        alike = KeyRequest(old.name, old.scopes, lifetime, old.allowed_networks)
        made = insert_key(auth, session, user_id, alike, now)
        old.replaced_by_id = made.id
        if overlap is Overlap.NONE:
            old.revoked_at = now
        else:
            overlap_ends = now + OVERLAPS[overlap]
            old.expires_at = overlap_ends if old.expires_at is None else min(old.expires_at, overlap_ends)
        session.execute(
            update(ApiKey)
            .where(ApiKey.user_id == user_id, ApiKey.replaced_by_id == key_id, is_live(now))
            .values(revoked_at=now)
        )
        record(
            session,
            "api_key_rotated",
            now,
            user_id=user_id,
            session_id=session_id,
            key_id=str(key_id),
            new_key_id=str(made.id),
        )
        notify(auth.mailer, session, "api_key_rotated", user.email, now)
        change.permission_changed(user_id)
        return made
