"""Signing in with an e-mail address and a password."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from auth.account_change import account_change
from auth.assembly import Auth
from auth.audit.record import record
from auth.bodies import SignInBody
from auth.device import Device
from auth.email_address import EmailAddress, parse_email
from auth.mail.notices import notify
from auth.models import User
from auth.problems import AccountDisabled, InvalidCredentials, why_disabled
from auth.second_factor.challenge import SecondFactorRequired, second_factor_needed
from auth.sessions.known_devices import find_device, remember_device
from auth.sessions.open import SignedInUser, open_session
from database import reading, transaction

# A row may change while its password is being hashed (another sign-in stored a newer hash); then it is checked again.
CHECKS = 3
NOTABLE_TRIES = 10


@dataclass(frozen=True)
class _Known:
    id: UUID
    email: str
    password_hash: str | None
    device_id: UUID | None


def sign_in(auth: Auth, body: SignInBody, device: Device) -> SignedInUser:
    """Raises InvalidCredentials, AccountDisabled, SecondFactorRequired, PasswordWorkBusy, TooManyRequests.

    One bcrypt is computed whoever asks.
    """
    email, password, device_token = parse_email(body.email), body.password, body.device_token
    counted = False
    for _ in range(CHECKS):
        # The slot before all else: in a storm a refusal must cost nothing, and no try of the owner's. Who shows a device
        # token is looked up first, because devices that are known do not wait in the strangers' queue.
        known = None if device_token is None else _find(email, device_token)
        with auth.passwords.slot(known_device=known is not None and known.device_id is not None):
            known = _find(email, device_token)
            device_id = known.device_id if known else None
            if not counted:
                auth.throttle.count_try(email, device_id)
                counted = True
            verdict = auth.passwords.verify(password, known.password_hash if known else None)
            new_hash = auth.passwords.hash(password) if verdict.outdated else None
        if known is None or known.password_hash is None or not verdict.matches:
            written, user_id = (EmailAddress(known.email, email.key), known.id) if known else (email, None)
            note_wrong_password(auth, "sign_in_failed", written, user_id, device_id, method="password")
            raise InvalidCredentials
        opened = _open(auth, known, new_hash or known.password_hash, body.remember_me, device)
        if opened is None:
            continue
        auth.throttle.forget(email, device_id)
        if isinstance(opened, AccountDisabled | SecondFactorRequired):
            raise opened
        return opened
    raise InvalidCredentials


def _find(email: EmailAddress, device_token: str | None) -> _Known | None:
    with reading() as session:
        row = session.execute(
            select(User.id, User.email, User.password_hash).where(User.email_key == email.key)
        ).one_or_none()
        device_id = find_device(session, row.id if row is not None else None, device_token)
    return None if row is None else _Known(row.id, row.email, row.password_hash, device_id)


def _open(
    auth: Auth, known: _Known, new_hash: str, remember: bool, device: Device
) -> SignedInUser | SecondFactorRequired | AccountDisabled | None:
    """None when the row no longer holds the password that was checked."""
    now = auth.clock()
    with account_change(auth.states, now) as change:
        user, session = change.hold(User.id == known.id, User.password_hash == known.password_hash), change.session
        if user is None:
            return None
        user.password_hash = new_hash
        if not user.is_active:
            return why_disabled(user)
        needed = second_factor_needed(
            session,
            user,
            now,
            method="password",
            remember=remember,
            device_id=known.device_id,
        )
        if needed is not None:
            return needed
        device_token = remember_device(session, user.id, known.device_id, now)
        return open_session(
            auth, change, user, device=device, remember=remember, device_token=device_token, method="password"
        )


def note_wrong_password(
    auth: Auth, event: str, email: EmailAddress, user_id: UUID | None, counted_for: UUID | None, **detail: Any
) -> None:
    """One row, whether or not there is such an account, so that the time says nothing. Its owner is told of many."""
    now, tries = auth.clock(), auth.throttle.tries(email, counted_for)
    with transaction() as session:
        record(session, event, now, user_id=user_id, **detail)
        if tries == NOTABLE_TRIES and user_id is not None:
            record(session, "many_wrong_passwords", now, user_id=user_id)
            notify(auth.mailer, session, "many_wrong_passwords", email.address, now)
