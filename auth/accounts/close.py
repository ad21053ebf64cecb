"""Closing an account, and restoring it until it is deleted.

The account, its sessions and its API keys stop at once. A job deletes the account after the grace period (purge.py); until
then nobody else can register its address.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select

from auth.account_change import AccountChange, account_change
from auth.apple_tokens.revoke import let_go_of_apple_tokens
from auth.assembly import Auth
from auth.audit.record import record
from auth.email_address import EmailAddress
from auth.lock_out.lock_out import lock_out
from auth.mail.notices import notify
from auth.models import User
from auth.problems import AccountDisabled, InvalidCredentials
from database import reading, transaction
from security.api.models import AnswerBody
from security.edge.problems import InvalidToken, Problem


class AccountNotClosing(Problem):
    """Said only to someone who knew the password."""

    status, error, title = 409, "account_not_closing", "This account is not closed. Sign in instead"


class ClosedAnswer(AnswerBody):
    status: Literal["closed"] = "closed"
    delete_after: datetime
    """You can restore the account until then."""
    cancel_yourself: list[str]
    """Where you must cancel what you pay for yourself, such as `apple`."""


def close_account(auth: Auth, user_id: UUID, session_id: UUID) -> ClosedAnswer:
    """Raises InvalidToken when the account was closed by a faster request."""
    now = auth.clock()
    delete_after = now + auth.settings.deletion_grace
    with account_change(auth.states, now) as change:
        user, session = change.hold(User.id == user_id, User.is_active), change.session
        if user is None:
            raise InvalidToken
        email = user.email
        user.is_active, user.delete_after = False, delete_after
        lock_out(auth, change, user, "account_closed", all_api_keys=True)
        let_go_of_apple_tokens(session, user_id)
        left = [place for part in auth.personal_data for place in part.close(session, user_id, now)]
        record(session, "account_closed", now, user_id=user_id, session_id=session_id, cancel_yourself=left)
        auth.mailer.enqueue(
            session,
            "account_closed",
            email,
            until=f"{delete_after:%d %B %Y, %H:%M} UTC",
            cancel_yourself=", ".join(left),
            base_url=auth.mailer.base_url,
        )
    return ClosedAnswer(delete_after=delete_after, cancel_yourself=left)


def restore_account(auth: Auth, email: EmailAddress, password: str) -> None:
    """Answers strangers as a sign-in does. It opens no session: the user signs in afterwards, with all that this takes.

    Raises InvalidCredentials, AccountDisabled, AccountNotClosing, PasswordWorkBusy, TooManyRequests.
    """
    with reading() as session:
        known = session.execute(select(User.id, User.password_hash).where(User.email_key == email.key)).one_or_none()
    stored = known.password_hash if known is not None else None
    with auth.passwords.slot():  # before the try is counted: who is refused for want of a thread has not tried
        auth.throttle.count_try(email, None)
        verdict = auth.passwords.verify(password, stored)
    now = auth.clock()
    if known is None or stored is None or not verdict.matches:
        with transaction() as session:
            record(session, "restoring_failed", now, user_id=known.id if known is not None else None)
        raise InvalidCredentials
    auth.throttle.forget(email, None)
    with account_change(auth.states, now) as change:
        user = change.hold(User.id == known.id, User.password_hash == stored)
        if user is None:
            raise InvalidCredentials
        if user.is_active:
            raise AccountNotClosing
        if user.delete_after is None:
            raise AccountDisabled
        reopen(auth, change, user)


def reopen(auth: Auth, change: AccountChange, user: User) -> None:
    """The caller holds the user's row."""
    user.is_active, user.delete_after = True, None
    change.permission_changed(user.id)
    record(change.session, "account_restored", change.now, user_id=user.id)
    notify(auth.mailer, change.session, "account_restored", user.email, change.now)
