"""A signed-in user types the password that the account has: to prove again who it is, or to choose another one."""

from uuid import UUID

from sqlalchemy import Row, select

from auth.account_change import AccountChange, account_change
from auth.assembly import Auth
from auth.audit.record import record
from auth.email_address import parse_email
from auth.lock_out.lock_out import lock_out
from auth.mail.notices import notify
from auth.models import User
from auth.password_hashing.policy import check_new_password
from auth.passwords.sign_in import note_wrong_password
from auth.principal import Principal
from auth.problems import InvalidCredentials
from auth.profile import read_address
from auth.second_factor.factors import factors_of
from auth.sessions.step_up import step_up
from auth.tokens.access_token import IssuedToken
from database import reading
from security.edge.problems import InvalidToken, Problem


class PasswordNotEnough(Problem):
    """Whoever stole a session and a password must not turn off the factor that protects from that."""

    status, error = 403, "second_factor_required"
    title = "Use your second factor: POST /api/auth/reauthenticate/second-factor"


def reauthenticate(auth: Auth, caller: Principal, password: str) -> IssuedToken:
    """An access token of the same session that says that the caller has just proved who it is.

    Raises InvalidCredentials, PasswordWorkBusy, TooManyRequests; PasswordNotEnough, after the right password, for an
    account with a second factor; InvalidToken when the session ended meanwhile.
    """
    proved = prove_password(auth, caller, password)
    with account_change(auth.states, auth.clock()) as change:
        _hold(change, caller.user_id, proved)
        if factors_of(change.session, caller.user_id).on:
            raise PasswordNotEnough
        return step_up(auth, change.session, caller, method="password")


def change_password(auth: Auth, caller: Principal, current_password: str, new_password: str) -> None:
    """All other sessions end, and an e-mail that would reset the password no longer works.

    Raises PasswordRefused, InvalidCredentials, PasswordWorkBusy, TooManyRequests.
    """
    check_new_password(new_password, auth.password_rules, read_address(caller.user_id), "/new_password")
    proved = prove_password(auth, caller, current_password)
    new_hash = auth.passwords.hash(new_password)
    now = auth.clock()
    with account_change(auth.states, now) as change:
        user, session = _hold(change, caller.user_id, proved), change.session
        user.password_hash = new_hash
        lock_out(auth, change, user, "password_changed", keep_session=caller.session_id)
        record(session, "password_changed", now, user_id=caller.user_id, session_id=caller.session_id)
        notify(auth.mailer, session, "password_changed", proved.email, now)


def prove_password(auth: Auth, caller: Principal, password: str) -> Row[str, str | None]:
    """Address and hash of an account whose password was right, as its row was then.

    Throttled like a sign-in, with a count that belongs to the session: no stranger can use it up, and whoever stole the
    session cannot guess on.
    """
    with reading() as session:
        row = session.execute(select(User.email, User.password_hash).where(User.id == caller.user_id)).one_or_none()
    if row is None:
        raise InvalidToken
    email = parse_email(row.email)
    with auth.passwords.slot():  # before the try is counted: who is refused for want of a thread has not tried
        auth.throttle.count_try(email, caller.session_id)
        verdict = auth.passwords.verify(password, row.password_hash)
    if not verdict.matches:
        user_id, session_id = caller.user_id, caller.session_id
        note_wrong_password(auth, "reauthentication_failed", email, user_id, session_id, session_id=session_id)
        raise InvalidCredentials
    auth.throttle.forget(email, caller.session_id)
    return row


def _hold(change: AccountChange, user_id: UUID, proved: Row[str, str | None]) -> User:
    """The user, with the row locked. Raises InvalidCredentials when it no longer holds the password that was checked."""
    user = change.hold(User.id == user_id, User.password_hash == proved.password_hash, User.is_active)
    if user is None:
        raise InvalidCredentials
    return user
