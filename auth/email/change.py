"""Moving an account to another address: asked for in a session, confirmed at the new address, undone from the old one."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.account_change import account_change, hold_account
from auth.assembly import Auth
from auth.audit.record import record
from auth.email_address import EmailAddress, parse_email
from auth.email_codes.models import OneTimeCode
from auth.email_codes.one_time_codes import Purpose
from auth.email_codes.proof import EmailProof, LinkProof, spend_proof
from auth.email_codes.send import send_code
from auth.lock_out.lock_out import lately, lock_out
from auth.mail.notices import notify_holder
from auth.models import User
from auth.principal import Principal
from auth.problems import EmailTaken
from database import transaction
from security.edge.problems import ValidationFailed

UNIQUE_ADDRESS = "uq_users_email_key"


class SameEmailAddress(ValidationFailed):
    title = "This is already the e-mail address of your account"

    def __init__(self) -> None:
        super().__init__([{"pointer": "/new_email", "code": "same_email", "message": self.title}])


def request_email_change(auth: Auth, caller: Principal, new: EmailAddress) -> None:
    """Writes to the new address; when another account has it, that account's owner is told instead. The caller sees no
    difference, and nothing changes before the link or code of the e-mail comes back.

    Raises InvalidToken when the user is gone, SameEmailAddress.
    """
    now = auth.clock()
    within_limit = auth.mailbox_limits.admits(Purpose.CHANGE_EMAIL.value, new)
    with transaction() as session:
        user = hold_account(session, caller.user_id)
        if user.email_key == new.key:
            raise SameEmailAddress
        record(session, "email_change_requested", now, user_id=user.id, session_id=caller.session_id)
        if not within_limit:
            return
        holder = session.scalars(select(User.email).where(User.email_key == new.key)).one_or_none()
        if holder is None:
            purpose, session_id = Purpose.CHANGE_EMAIL, caller.session_id
            send_code(
                auth, session, purpose, user.id, new.address, now=now, session_id=session_id, old_address=user.email
            )
        else:
            auth.one_time_codes.void(session, user.id, Purpose.CHANGE_EMAIL)
            notify_holder(auth.mailer, session, holder)


def confirm_email_change(auth: Auth, proof: EmailProof) -> None:
    """The account moves. Its old address gets an e-mail that can undo it for seven days.

    All sessions but the one that asked are ended. Raises OneTimeCodeNotValid, EmailTaken.
    """
    with _refusing_a_taken_address(), account_change(auth.states, auth.clock()) as change:
        session, now = change.session, change.now
        user, spent = spend_proof(auth.one_time_codes, change, Purpose.CHANGE_EMAIL, proof)
        old, new = user.email, parse_email(spent.email)
        _move(auth, session, user, new)
        lock_out(auth, change, user, "email_changed", keep_session=spent.session_id)
        send_code(auth, session, Purpose.UNDO_EMAIL_CHANGE, user.id, old, now=now, new_address=new.address)
        record(session, "email_changed", now, user_id=user.id)


def undo_email_change(auth: Auth, token: str) -> None:
    """The account goes back to the address that the e-mail was sent to.

    Whoever changed the address was signed in and may know the password. So every session ends, the password is taken
    away, and the same mailbox gets the link to set a new one. Raises OneTimeCodeNotValid, EmailTaken.
    """
    with _refusing_a_taken_address(), account_change(auth.states, auth.clock()) as change:
        session, now = change.session, change.now
        user, spent = spend_proof(auth.one_time_codes, change, Purpose.UNDO_EMAIL_CHANGE, LinkProof(token))
        old = parse_email(spent.email)
        user.password_hash = None
        _move(auth, session, user, old)
        removed = lock_out(auth, change, user, "email_changed", added_since=lately(user, now), all_api_keys=True)
        # Addresses that came after this one have no claim. Those that were left before it have a better one.
        session.execute(
            delete(OneTimeCode)
            .where(OneTimeCode.user_id == user.id, OneTimeCode.purpose == Purpose.UNDO_EMAIL_CHANGE)
            .where(OneTimeCode.used_at.is_(None), OneTimeCode.created_at >= spent.created_at)
        )
        send_code(auth, session, Purpose.RESET_PASSWORD, user.id, old.address, now=now)
        record(session, "email_change_undone", now, user_id=user.id, **removed.detail)


@contextmanager
def _refusing_a_taken_address() -> Iterator[None]:
    """The unique index decides between those who want one address at the same moment."""
    try:
        yield
    except IntegrityError as error:
        if UNIQUE_ADDRESS in str(error.orig):
            raise EmailTaken from None
        raise


def _move(auth: Auth, session: Session, user: User, to: EmailAddress) -> None:
    """An e-mail that would confirm the address before is worth nothing any more."""
    auth.one_time_codes.void(session, user.id, Purpose.VERIFY_EMAIL)
    user.email, user.email_key, user.is_verified = to.address, to.key, True
    session.flush()
