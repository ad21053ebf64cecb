"""Setting a new password with a letter, by somebody who forgot the old one."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.account_state import raise_state_version
from auth.assembly import Auth
from auth.audit import record
from auth.device_models import KnownDevice
from auth.email_address import EmailAddress, parse_email
from auth.end_session import end_sessions
from auth.mail.notices import notify
from auth.one_time_codes import OneTimeCodeNotValid, Purpose
from auth.password_policy import check_new_password
from auth.prove_address import LinkProof, Proof, take_proof
from auth.revoke_api_key import revoke_api_keys
from auth.second_factor.forget_factors import forget_factors
from database import reading, transaction


def reset_password(auth: Auth, proof: Proof, new_password: str) -> None:
    """Ends every session, forgets wrong tries, and confirms the address, because its letter was read.

    A second factor of a confirmed account stays as it is. Raises OneTimeCodeNotValid, PasswordRefused, PasswordWorkBusy.
    """
    email = _address(auth, proof)
    check_new_password(
        new_password,
        minimum_length=auth.settings.password_minimum_length,
        mail_name=email.address.partition("@")[0],
        breached=auth.pwned_passwords,
        pointer="/new_password",
    )
    # Hashed before it is known whether the code is right: digits are guessed at the price of a hash, known account or not.
    password_hash, now = auth.passwords.hash(new_password), auth.clock()
    with transaction() as session:
        proven = take_proof(auth.one_time_codes, session, Purpose.RESET_PASSWORD, proof, now)
        if proven is not None:
            user = proven.user
            if not user.is_verified:
                _forget_strangers(session, user.id, now)
            user.password_hash, user.is_verified = password_hash, True
            # Whoever wanted to take the account to another address is stopped too.
            auth.one_time_codes.void(session, user.id, Purpose.VERIFY_EMAIL, Purpose.CHANGE_EMAIL)
            end_sessions(session, user.id, now, "password_changed")
            version = raise_state_version(session, user.id, now)
            record(session, "password_reset", now, user_id=user.id)
            notify(auth.letters, session, "password_reset", user.email, now)
            user_id, devices = user.id, _devices(session, user.id)
    if proven is None:
        raise OneTimeCodeNotValid
    if version is not None:
        auth.states.changed(user_id, version)
    for device_id in (None, *devices):
        auth.throttle.forget(email, device_id)


def _forget_strangers(session: Session, user_id: UUID, now: datetime) -> None:
    """Nobody had proved the address before: whoever registered it may have left a way in for the day its owner comes."""
    forget_factors(session, user_id)
    revoke_api_keys(session, user_id, now)


def _address(auth: Auth, proof: Proof) -> EmailAddress:
    """Where the letter went."""
    if not isinstance(proof, LinkProof):
        return proof.email
    with reading() as session:
        found = auth.one_time_codes.find_link(session, Purpose.RESET_PASSWORD, proof.token, auth.clock())
    if found is None:
        raise OneTimeCodeNotValid
    return parse_email(found.email)


def _devices(session: Session, user_id: UUID) -> list[UUID]:
    return list(session.scalars(select(KnownDevice.id).where(KnownDevice.user_id == user_id)))
