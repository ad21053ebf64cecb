"""Ending sessions, for whatever reason. Their tokens stop at once."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from auth.account_state import raise_state_version
from auth.assembly import Auth
from auth.audit import record
from auth.mail.notices import NOTICES, notify
from auth.models import AuthSession, User
from database import transaction

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
    with transaction() as session:
        version = raise_state_version(session, user_id, now)
        ended = session.execute(
            update(AuthSession)
            .where(AuthSession.id == session_id, AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
            .values(revoked_at=now, revoke_reason=reason)
            .returning(AuthSession.id)
            .execution_options(synchronize_session=False)
        ).all()
        if ended:
            event = EVENTS[reason]
            record(session, event, now, user_id=user_id, session_id=session_id)
            if event in NOTICES:
                email = session.scalars(select(User.email).where(User.id == user_id)).one()
                notify(auth.letters, session, event, email, now)
    if version is not None:
        auth.states.changed(user_id, version)
    return bool(ended)


def end_sessions(session: Session, user_id: UUID, now: datetime, reason: Reason, *, keep: UUID | None = None) -> int:
    """End all of a user's sessions, or all but one; says how many.

    In the caller's transaction, which holds the user's row, raises the state's version and calls `AccountStates.changed`
    after its commit.
    """
    query = update(AuthSession).where(AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
    if keep is not None:
        query = query.where(AuthSession.id != keep)
    ended = session.execute(
        query.values(revoked_at=now, revoke_reason=reason)
        .returning(AuthSession.id)
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())
