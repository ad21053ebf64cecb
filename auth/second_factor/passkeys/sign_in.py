"""Signing in with a passkey and nothing else. It is held by the user and unlocked by the user, so it is both factors."""

from typing import Any

from sqlalchemy import select

from auth.account_change import AccountChange, Refused, account_change
from auth.assembly import Auth
from auth.audit.record import record
from auth.device import Device
from auth.models import User
from auth.problems import why_disabled
from auth.second_factor.bodies import PasskeySignInBody, document_of
from auth.second_factor.models import Passkey
from auth.second_factor.passkeys.challenges import ChallengePurpose, begin_challenge, spend_challenge
from auth.second_factor.passkeys.verify import use_passkey
from auth.second_factor.passkeys.webauthn import (
    CeremonyRefused,
    Credential,
    assertion_options,
    credential_id_of,
    user_handle_of,
)
from auth.sessions.known_devices import find_device, remember_device
from auth.sessions.open import SignedInUser, open_session
from database import transaction
from security.edge.problems import Unauthorized


class PasskeyRefused(Unauthorized):
    """One answer for an unknown passkey, a bad signature and a challenge that was not ours or not fresh."""

    error, title = "passkey_refused", "We could not verify the passkey"


def passkey_to_sign_in(auth: Auth) -> dict[str, Any]:
    """What to ask the browser for. Nobody has said who is calling, so this tells nothing about any account."""
    now = auth.clock()
    with transaction() as session:
        challenge = begin_challenge(session, ChallengePurpose.SIGN_IN, now)
    return assertion_options(auth.passkey_site, challenge, verify_user=True)


def sign_in_with_passkey(auth: Auth, body: PasskeySignInBody, device: Device) -> SignedInUser:
    """Raises PasskeyRefused, AccountDisabled, AccountClosing, each when the challenge is spent for good."""
    with account_change(auth.states, auth.clock()) as change:
        session, now, credential = change.session, change.now, document_of(body.credential)
        user = _owner_of(change, credential)
        challenge = spend_challenge(session, ChallengePurpose.SIGN_IN, credential, now)
        if (
            user is None
            or challenge is None
            or not use_passkey(auth, session, user, credential, challenge, now=now, verify_user=True)
        ):
            record(session, "sign_in_failed", now, user_id=user.id if user else None, method="passkey")
            raise Refused(PasskeyRefused())
        if not user.is_active:
            raise Refused(why_disabled(user))
        new_token = remember_device(session, user.id, find_device(session, user.id, body.device_token), now)
        return open_session(
            auth, change, user, device=device, remember=body.remember_me, device_token=new_token, method="passkey"
        )


def _owner_of(change: AccountChange, credential: Credential) -> User | None:
    """Whose passkey it is, with the row locked. The browser has to name the same user (W3C Web Authentication, 7.2, step 6)."""
    try:
        credential_id, handle = credential_id_of(credential), user_handle_of(credential)
    except CeremonyRefused:
        return None
    owner = select(Passkey.user_id).where(Passkey.credential_id == credential_id).scalar_subquery()
    user = change.hold(User.id == owner)
    return user if user is not None and user.id.bytes == handle else None
