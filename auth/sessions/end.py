"""Ending sessions, for whatever reason. Their tokens stop at once."""

from typing import Literal
from uuid import UUID

from sqlalchemy import Row, select, update

from auth.account_change import AccountChange, account_change
from auth.assembly import Auth
from auth.audit.record import record
from auth.mail.notices import NOTICES, notify
from auth.models import AuthSession, User
from auth.tokens.refresh_token import read_refresh_token
from database import reading

Reason = Literal[
    "signed_out",
    "reuse",
    "revoked",
    "evicted",
    "owner_proved",
    "password_changed",
    "email_changed",
    "second_factor_changed",
    "identity_unlinked",
    "account_closed",
    "disabled",
]
EVENTS = {"signed_out": "signed_out", "reuse": "refresh_token_reused", "revoked": "session_revoked"}


def end_session(
    auth: Auth, *, user_id: UUID, session_id: UUID, reason: Literal["signed_out", "reuse", "revoked"]
) -> bool:
    """Whether there was such a session that lived. Nothing changes when it has ended already."""
    now = auth.clock()
    with account_change(auth.states, now) as change:
        user = change.hold(User.id == user_id)
        if user is None:
            return False
        session = change.session
        ended = session.execute(
            update(AuthSession)
            .where(AuthSession.id == session_id, AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
            .values(revoked_at=now, revoke_reason=reason)
            .returning(AuthSession.id)
        ).all()
        if not ended:
            change.announce_again(user)
            return False
        change.permission_changed(user_id)
        event = EVENTS[reason]
        record(session, event, now, user_id=user_id, session_id=session_id)
        if event in NOTICES:
            notify(auth.mailer, session, event, user.email, now)
        return True


def end_sessions(change: AccountChange, user_id: UUID, reason: Reason, *, keep: UUID | None = None) -> int:
    """End all of a user's sessions, or all but one; says how many. The caller holds the user's row."""
    query = update(AuthSession).where(AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
    if keep is not None:
        query = query.where(AuthSession.id != keep)
    ended = change.session.execute(query.values(revoked_at=change.now, revoke_reason=reason).returning(AuthSession.id))
    change.permission_changed(user_id)
    return len(ended.all())


def sign_out_by_refresh_token(auth: Auth, refresh_token: str) -> None:
    """A token that is spent ends its session too; one that was never ours does nothing. Both look alike to the caller."""
    presented = read_refresh_token(refresh_token)
    found = _find(presented.session_id) if presented is not None else None
    if presented is not None and found is not None and auth.refresh_tokens.is_genuine(presented, found.salt):
        end_session(auth, user_id=found.user_id, session_id=presented.session_id, reason="signed_out")


def sign_out_session(auth: Auth, session_id: UUID) -> None:
    found = _find(session_id)
    if found is not None:
        end_session(auth, user_id=found.user_id, session_id=session_id, reason="signed_out")


def _find(session_id: UUID) -> Row[UUID, bytes] | None:
    """Its user and salt."""
    with reading() as session:
        query = select(AuthSession.user_id, AuthSession.salt).where(AuthSession.id == session_id)
        return session.execute(query).one_or_none()
