"""Taking an account back from an intruder: one function says what must not survive, whichever way the owner comes back.

The table in docs/accounts.md says which way back takes what; tests/auth/test_lock_out.py walks every table that holds a
credential or a pending change.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from auth.account_change import AccountChange
from auth.api_keys.revoke import revoke_api_keys
from auth.assembly import Auth
from auth.email_codes.one_time_codes import LINK_LIFETIMES, Purpose
from auth.models import Identity, User
from auth.second_factor.forget import forget_factors, void_unfinished
from auth.sessions.end import Reason, end_sessions
from auth.sessions.known_devices import forget_devices

DISTRUSTED = 2 * LINK_LIFETIMES[Purpose.UNDO_EMAIL_CHANGE]
"""A change of address can be undone for a week, and whoever made it may have prepared a way in during the week before. What was
added longer ago is the owner's, who was told of it by e-mail and would have noticed."""


@dataclass(frozen=True)
class LockedOut:
    """What was taken away."""

    sessions: int
    api_keys: int
    identities: int
    factors: int

    @property
    def detail(self) -> dict[str, Any]:
        """For the event of whoever called: the sessions, and what else there was."""
        added = {
            "api_keys_revoked": self.api_keys,
            "identities_removed": self.identities,
            "factors_removed": self.factors,
        }
        return {"sessions_ended": self.sessions, **{name: count for name, count in added.items() if count}}


def lock_out(
    auth: Auth,
    change: AccountChange,
    user: User,
    reason: Reason,
    *,
    keep_session: UUID | None = None,
    added_since: datetime | None = None,
    all_api_keys: bool = False,
) -> LockedOut:
    """End the sessions, and void what is pending: codes, changes of address, sign-ins that wait, setups.

    With `added_since` goes too what was added since then and lets somebody in: API keys, linked identities, second factors,
    passkeys, known devices. `all_api_keys` revokes those that are older as well. `keep_session` stays, with the change of
    address that it asked for. Undoing a change of address stays possible: that is a way back itself.

    The caller holds the user's row.
    """
    session = change.session
    auth.one_time_codes.void(session, user.id, Purpose.RESET_PASSWORD)
    auth.one_time_codes.void(session, user.id, Purpose.CHANGE_EMAIL, but_of=keep_session)
    void_unfinished(session, user.id, keep_session=keep_session)
    ended = end_sessions(change, user.id, reason, keep=keep_session)
    keys = identities = factors = 0
    if added_since is not None:
        identities = _unlink_identities(session, user.id, added_since)
        factors = forget_factors(session, user.id, since=added_since)
        forget_devices(session, user.id, since=added_since)
    if added_since is not None or all_api_keys:
        keys = revoke_api_keys(change, user.id, since=None if all_api_keys else added_since)
    return LockedOut(ended, keys, identities, factors)


def lately(user: User, now: datetime) -> datetime:
    """Since when nothing is trusted, where nobody says so."""
    return after_registering(user, now - DISTRUSTED)


def after_registering(user: User, moment: datetime) -> datetime:
    """That moment, but never so early that it takes away what the account was made with, such as its only identity."""
    return max(moment, user.created_at + timedelta(microseconds=1))


def _unlink_identities(session: Session, user_id: UUID, since: datetime) -> int:
    gone = session.execute(
        delete(Identity).where(Identity.user_id == user_id, Identity.created_at >= since).returning(Identity.subject)
    )
    return len(gone.all())
