"""Setting a new password with an e-mail, by somebody who forgot the old one."""

from sqlalchemy import select

from auth.account_change import account_change
from auth.assembly import Auth
from auth.audit.record import record
from auth.email_address import EmailAddress, parse_email
from auth.email_codes.one_time_codes import OneTimeCodeNotValid, Purpose
from auth.email_codes.proof import EmailProof, LinkProof, spend_proof
from auth.lock_out.lock_out import lately, lock_out
from auth.mail.notices import notify
from auth.password_hashing.policy import check_new_password
from auth.sessions.models import KnownDevice
from database import reading


def reset_password(auth: Auth, proof: EmailProof, new_password: str) -> None:
    """Ends every session, takes away what was added lately, forgets wrong tries, and confirms the address, whose e-mail was read.

    A second factor that was set up longer ago stays and is asked for. Where nobody had confirmed the address, whoever registered
    it may have left a way in for the day its owner comes: there everything goes. Raises OneTimeCodeNotValid, PasswordRefused,
    PasswordWorkBusy.
    """
    email = _address(auth, proof)
    check_new_password(new_password, auth.password_rules, email, "/new_password")
    # Hashed before it is known whether the code is right: digits are guessed at the price of a hash, known account or not.
    password_hash, now = auth.passwords.hash(new_password), auth.clock()
    with account_change(auth.states, now) as change:
        session = change.session
        user, _ = spend_proof(auth.one_time_codes, change, Purpose.RESET_PASSWORD, proof)
        added_since = lately(user, now) if user.is_verified else user.created_at
        user.password_hash, user.is_verified = password_hash, True
        auth.one_time_codes.void(session, user.id, Purpose.VERIFY_EMAIL)
        removed = lock_out(auth, change, user, "password_changed", added_since=added_since)
        record(session, "password_reset", now, user_id=user.id, **removed.detail)
        notify(auth.mailer, session, "password_reset", user.email, now)
        devices = session.scalars(select(KnownDevice.id).where(KnownDevice.user_id == user.id)).all()
    for device_id in (None, *devices):
        auth.throttle.forget(email, device_id)


def _address(auth: Auth, proof: EmailProof) -> EmailAddress:
    """Where the e-mail went."""
    if not isinstance(proof, LinkProof):
        return proof.email
    with reading() as session:
        found = auth.one_time_codes.find_link(session, Purpose.RESET_PASSWORD, proof.token, auth.clock())
    if found is None:
        raise OneTimeCodeNotValid
    return parse_email(found.email)
