"""Codes of an authenticator app (RFC 6238): turning them on and off, and judging one."""

import io
from datetime import datetime, timedelta
from uuid import UUID

import pyotp
import segno
from pyotp.exceptions import OTPVerificationError
from sqlalchemy import delete, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.account_change import hold_account
from auth.assembly import Auth
from auth.data_keys import DataKeys, SealedValueUnreadable
from auth.principal import Principal
from auth.second_factor.bodies import TotpSetupAnswer
from auth.second_factor.factors import changing_factors, factors_of, forget_codes_without_factor
from auth.second_factor.models import TotpSecret
from auth.second_factor.passkeys.webauthn import PRODUCT
from auth.second_factor.recovery_codes import write_codes
from database import reading, transaction
from security.edge.problems import NotFound, Problem
from security.logs.log import security_event

STEPS_AROUND = 1
"""Steps of 30 seconds before and after the current one, for clocks that differ (RFC 6238, 5.2)."""
SETUP_LIFETIME = timedelta(minutes=15)


class TotpAlreadyOn(Problem):
    status, error, title = 409, "totp_already_on", "An authenticator app is already on. Turn it off first"


class TotpNotConfirmed(Problem):
    """One answer for a wrong code and for a setup that was never begun or is too old."""

    status, error, title = 400, "totp_not_confirmed", "The code is wrong, or the setup has expired"


def set_up_totp(auth: Auth, caller: Principal, *, resume: bool = False) -> TotpSetupAnswer:
    """Make a secret. It replaces one that was not confirmed, and counts for nothing before it is. Raises TotpAlreadyOn.

    `resume`: one that can still be confirmed is shown again, for a page that is loaded anew.
    """
    now = auth.clock()
    secret = (_waiting_secret(auth, caller.user_id, now) if resume else None) or pyotp.random_base32()
    row = {
        "sealed_secret": auth.data_keys.seal(secret.encode(), caller.user_id.bytes),
        "created_at": now,
        "confirmed_at": None,
        "last_step": None,
    }
    with transaction() as session:
        email = hold_account(session, caller.user_id).email
        if factors_of(session, caller.user_id).totp:
            raise TotpAlreadyOn
        made = insert(TotpSecret).values(user_id=caller.user_id, **row)
        session.execute(made.on_conflict_do_update(index_elements=[TotpSecret.user_id], set_=row))
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=PRODUCT)
    return TotpSetupAnswer(secret=secret, otpauth_uri=uri, qr_svg=_picture(uri))


def _waiting_secret(auth: Auth, user_id: UUID, now: datetime) -> str | None:
    with reading() as session:
        row = session.get(TotpSecret, user_id)
    if row is None or row.confirmed_at is not None or now - row.created_at > SETUP_LIFETIME:
        return None
    return _secret_of(auth.data_keys, row)


def confirm_totp(auth: Auth, caller: Principal, code: str) -> list[str] | None:
    """Turn it on. Gives recovery codes when this is the account's first factor. Raises TotpNotConfirmed."""
    with changing_factors(auth, caller, "totp_turned_on") as change:
        row = change.session.get(TotpSecret, caller.user_id)
        if row is None or row.confirmed_at is not None or change.now - row.created_at > SETUP_LIFETIME:
            raise TotpNotConfirmed
        step = _step_of(auth.data_keys, row, code, change.now)
        if step is None:
            raise TotpNotConfirmed
        first = not factors_of(change.session, caller.user_id).on
        row.confirmed_at, row.last_step = change.now, step
        return write_codes(change, auth.data_keys, caller.user_id) if first else None


def turn_off_totp(auth: Auth, caller: Principal) -> None:
    """Raises NotFound when it is not on."""
    with changing_factors(auth, caller, "totp_turned_off") as change:
        if not factors_of(change.session, caller.user_id).totp:
            raise NotFound
        change.session.execute(delete(TotpSecret).where(TotpSecret.user_id == caller.user_id))
        forget_codes_without_factor(change.session, caller.user_id)


def spend_totp_code(session: Session, keys: DataKeys, user_id: UUID, code: str, now: datetime) -> bool:
    """Whether the code is right and later than every one used before (RFC 6238, 5.2: a code works once)."""
    row = session.get(TotpSecret, user_id)
    if row is None or row.confirmed_at is None:
        return False
    step = _step_of(keys, row, code, now)
    if step is None:
        return False
    spent = session.execute(
        update(TotpSecret)
        .where(TotpSecret.user_id == user_id, or_(TotpSecret.last_step.is_(None), TotpSecret.last_step < step))
        .values(last_step=step)
        .returning(TotpSecret.user_id)
    )
    return spent.one_or_none() is not None


def _step_of(keys: DataKeys, row: TotpSecret, code: str, now: datetime) -> int | None:
    """The time step that the code belongs to; None for a wrong one."""
    secret = _secret_of(keys, row)
    if secret is None:
        return None
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(code, for_time=now, valid_window=STEPS_AROUND)
    except OTPVerificationError:
        return None


def _secret_of(keys: DataKeys, row: TotpSecret) -> str | None:
    """None, and an alarm, for one that cannot be read."""
    try:
        return keys.open(row.sealed_secret, row.user_id.bytes).decode()
    except SealedValueUnreadable:
        security_event("stored_totp_secret_unreadable", user_id=row.user_id)
        return None


def _picture(uri: str) -> str:
    """A QR code as an SVG that may stand in a page: it has a name for those who cannot see it, and neither script nor style."""
    drawing = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(
        drawing,
        kind="svg",
        scale=4,
        light="#fff",
        dark="#000",
        xmldecl=False,
        svgclass=None,
        lineclass=None,
        omitsize=True,
        nl=False,
        title="QR code for your authenticator app",
        desc="Contains the same secret that you can enter by hand.",
    )
    return drawing.getvalue().decode().replace("<svg ", '<svg role="img" ', 1)
