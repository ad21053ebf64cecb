"""Registering a passkey."""

from typing import Any

from sqlalchemy.dialects.postgresql import insert

from auth.account_change import hold_account
from auth.assembly import Auth
from auth.principal import Principal
from auth.second_factor.bodies import PasskeyAddedAnswer, PasskeyAnswer, RegisterPasskeyBody, document_of
from auth.second_factor.factors import changing_factors, factors_of
from auth.second_factor.models import Passkey
from auth.second_factor.passkeys.challenges import ChallengePurpose, begin_challenge, known_credentials, spend_challenge
from auth.second_factor.passkeys.webauthn import (
    BACKUP_ELIGIBLE,
    CeremonyRefused,
    known_transports,
    registration_options,
    verify_registration,
)
from auth.second_factor.recovery_codes import write_codes
from database import transaction
from security.edge.problems import Problem

MOST_PASSKEYS = 10


class TooManyPasskeys(Problem):
    status, error = 409, "too_many_passkeys"
    title = f"An account can have up to {MOST_PASSKEYS} passkeys. Delete one first"


class PasskeyNotAccepted(Problem):
    """The answer is not signed for us, or its challenge was not given to this session within five minutes, or used before."""

    status, error, title = 400, "passkey_not_accepted", "We could not add the passkey. Start again"


def passkey_to_register(auth: Auth, caller: Principal) -> dict[str, Any]:
    """What to ask the browser for. Raises TooManyPasskeys."""
    now = auth.clock()
    with transaction() as session:
        email = hold_account(session, caller.user_id).email
        known = known_credentials(session, caller.user_id)
        if len(known) >= MOST_PASSKEYS:
            raise TooManyPasskeys
        challenge = begin_challenge(
            session, ChallengePurpose.REGISTER, now, user_id=caller.user_id, flow_id=caller.session_id
        )
    return registration_options(
        auth.passkey_site, challenge, user_handle=caller.user_id.bytes, email=email, known=known
    )


def register_passkey(auth: Auth, caller: Principal, body: RegisterPasskeyBody) -> PasskeyAddedAnswer:
    """With recovery codes when this is the account's first factor. Raises PasskeyNotAccepted, TooManyPasskeys."""
    credential = document_of(body.credential)
    with transaction() as session:
        challenge = spend_challenge(
            session,
            ChallengePurpose.REGISTER,
            credential,
            auth.clock(),
            user_id=caller.user_id,
            flow_id=caller.session_id,
        )
    if challenge is None:
        raise PasskeyNotAccepted
    try:
        made = verify_registration(auth.passkey_site, challenge, credential)
    except CeremonyRefused:
        raise PasskeyNotAccepted from None
    with changing_factors(auth, caller, "passkey_added") as change:
        before = factors_of(change.session, caller.user_id)
        if before.passkeys >= MOST_PASSKEYS:
            raise TooManyPasskeys
        row = change.session.scalars(
            insert(Passkey)
            .values(
                user_id=caller.user_id,
                credential_id=made.credential_id,
                public_key=made.credential_public_key,
                sign_count=made.sign_count,
                transports=known_transports(body.credential.response.transports),
                backup_eligible=made.credential_device_type is BACKUP_ELIGIBLE,
                backed_up=made.credential_backed_up,
                name=body.name,
                created_at=change.now,
            )
            .on_conflict_do_nothing(index_elements=[Passkey.credential_id])
            .returning(Passkey)
        ).one_or_none()
        if row is None:
            raise PasskeyNotAccepted
        codes = None if before.on else write_codes(change, auth.data_keys, caller.user_id)
        passkey = PasskeyAnswer.model_validate(row, from_attributes=True)
        return PasskeyAddedAnswer(passkey=passkey, recovery_codes=codes)
