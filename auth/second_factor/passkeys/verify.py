"""Judging the signature of a passkey."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.assembly import Auth
from auth.audit.record import record
from auth.mail.notices import notify
from auth.models import User
from auth.second_factor.models import Passkey
from auth.second_factor.passkeys.webauthn import CeremonyRefused, Credential, credential_id_of, verify_assertion


def use_passkey(
    auth: Auth,
    session: Session,
    user: User,
    credential: Credential,
    challenge: bytes,
    *,
    now: datetime,
    verify_user: bool,
) -> bool:
    """Whether one of the user's passkeys signed the challenge. The caller holds the user's row.

    A sign count that does not rise means that somebody copied the key (W3C Web Authentication, 7.2, step 22): refused, and
    the owner is told. Keys that are synchronised between devices count nothing and say 0 for ever.
    """
    try:
        passkey = session.scalars(
            select(Passkey).where(Passkey.credential_id == credential_id_of(credential), Passkey.user_id == user.id)
        ).one_or_none()
        if passkey is None:
            return False
        signed = verify_assertion(
            auth.passkey_site, challenge, credential, public_key=passkey.public_key, verify_user=verify_user
        )
    except CeremonyRefused:
        return False
    if signed.new_sign_count <= passkey.sign_count and (signed.new_sign_count, passkey.sign_count) != (0, 0):
        record(session, "passkey_sign_count_went_back", now, user_id=user.id, passkey_id=str(passkey.id))
        notify(auth.mailer, session, "passkey_sign_count_went_back", user.email, now)
        return False
    passkey.sign_count, passkey.backed_up, passkey.last_used_at = (
        signed.new_sign_count,
        signed.credential_backed_up,
        now,
    )
    return True
