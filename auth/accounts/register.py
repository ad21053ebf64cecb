"""Registering with an e-mail address and a password."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.account_change import account_change
from auth.assembly import Auth
from auth.audit.record import record
from auth.bodies import RegisterBody
from auth.device import Device
from auth.email_address import EmailAddress, parse_email
from auth.email_codes.one_time_codes import Purpose
from auth.email_codes.send import send_code
from auth.insert_user import insert_user
from auth.invites.redeem import check_invite, redeem_invite
from auth.mail.notices import notify_holder
from auth.models import User
from auth.password_hashing.policy import check_new_password
from auth.problems import EmailTaken, UsernameTaken
from auth.sessions.known_devices import remember_device
from auth.sessions.open import SignedInUser, open_session
from database import transaction


def register(auth: Auth, body: RegisterBody, device: Device) -> SignedInUser:
    """Create the account and sign in. Raises PasswordRefused, TooManyRequests, PasswordWorkBusy, EmailTaken,
    UsernameTaken, and as `check_invite` does.

    EmailTaken tells a stranger who has an account; `register_privately` does not.
    """
    email, invite = parse_email(body.email), check_invite(auth, body.invite_code)
    password_hash = _hash(auth, email, body.password)
    now = auth.clock()
    auth.mailbox_limits.admits(Purpose.VERIFY_EMAIL.value, email)
    with account_change(auth.states, now) as change:
        session = change.session
        user = insert_unless_taken(auth, session, email, now, password_hash=password_hash, username=body.username)
        if user is None:
            raise EmailTaken
        invited = redeem_invite(auth, session, invite, now)
        device_token = remember_device(session, user.id, None, now)
        signed_in = open_session(
            auth,
            change,
            user,
            device=device,
            remember=False,
            device_token=device_token,
            event="registered",
            **invited,
        )
        send_code(auth, session, Purpose.VERIFY_EMAIL, user.id, user.email, now=now)
        return signed_in


def register_privately(auth: Auth, body: RegisterBody) -> None:
    """Create the account if the address is free. Nothing, not even the time, tells the caller whether it was: an
    e-mail goes out in both cases. An account whose username is taken is made without one.

    Raises PasswordRefused, TooManyRequests, PasswordWorkBusy, and as `check_invite` does.
    """
    email, invite = parse_email(body.email), check_invite(auth, body.invite_code)
    password_hash = _hash(auth, email, body.password)
    now = auth.clock()
    within_limit = auth.mailbox_limits.admits(Purpose.VERIFY_EMAIL.value, email)
    with transaction() as session:
        try:
            user = insert_unless_taken(auth, session, email, now, password_hash=password_hash, username=body.username)
        except UsernameTaken:
            user = insert_unless_taken(auth, session, email, now, password_hash=password_hash)
        if user is not None:
            record(session, "registered", now, user_id=user.id, **redeem_invite(auth, session, invite, now))
            send_code(auth, session, Purpose.VERIFY_EMAIL, user.id, user.email, now=now)
            return
        holder = session.scalars(select(User.email).where(User.email_key == email.key)).one_or_none()
        record(session, "registration_of_taken_address", now, user_id=None)
        if within_limit:
            notify_holder(auth.mailer, session, holder or email.address)


def _hash(auth: Auth, email: EmailAddress, password: str) -> str:
    """Hashed before the address is looked up, and outside any transaction: it takes a quarter of a second."""
    check_new_password(password, auth.password_rules, email)
    # Also where there is no such account yet, so that a refusal tells nothing. A password that was refused costs no try.
    limit = auth.settings.limits.register_of_one_email
    with auth.passwords.slot():  # and neither does a want of threads
        auth.address_limits.count_subject(limit, "register_email", auth.throttle.keyed_hash(email))
        return auth.passwords.hash(password)


def insert_unless_taken(
    auth: Auth, session: Session, email: EmailAddress, now: datetime, **columns: Any
) -> User | None:
    """None when an account has the address, or it is kept because an account that left it can still come back: else
    whoever took an account away from its owner could take the way back too. Raises UsernameTaken.
    """
    if auth.one_time_codes.may_be_returned_to(session, email, now):
        return None
    return insert_user(session, email, now, **columns)
