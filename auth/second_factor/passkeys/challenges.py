"""The challenges that passkeys sign: each is good once, for five minutes, for one purpose and for whom it was made."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from auth.second_factor.models import Passkey, PasskeyChallenge
from auth.second_factor.passkeys.webauthn import (
    CeremonyRefused,
    Credential,
    KnownCredentials,
    challenge_in,
    descriptor,
    new_challenge,
)

CHALLENGE_LIFETIME = timedelta(minutes=5)


class ChallengePurpose(StrEnum):
    REGISTER = "register"
    SIGN_IN = "sign_in"
    SECOND_FACTOR = "second_factor"


def begin_challenge(
    session: Session,
    ceremony: ChallengePurpose,
    now: datetime,
    *,
    user_id: UUID | None = None,
    flow_id: UUID | None = None,
) -> bytes:
    """A new challenge. It voids the one before of the same flow. Where there is a user, the caller holds the row."""
    if flow_id is not None:
        session.execute(
            delete(PasskeyChallenge).where(PasskeyChallenge.purpose == ceremony, PasskeyChallenge.flow_id == flow_id)
        )
    challenge = new_challenge()
    session.add(
        PasskeyChallenge(
            challenge=challenge,
            purpose=ceremony,
            user_id=user_id,
            flow_id=flow_id,
            expires_at=now + CHALLENGE_LIFETIME,
        )
    )
    return challenge


def spend_challenge(
    session: Session,
    ceremony: ChallengePurpose,
    credential: Credential,
    now: datetime,
    *,
    user_id: UUID | None = None,
    flow_id: UUID | None = None,
) -> bytes | None:
    """The challenge that the answer is for, if we gave it to this caller. It is spent if the transaction is committed."""
    try:
        named = challenge_in(credential)
    except CeremonyRefused:
        return None
    return session.scalars(
        delete(PasskeyChallenge)
        .where(PasskeyChallenge.challenge == named, PasskeyChallenge.purpose == ceremony)
        .where(PasskeyChallenge.user_id.is_not_distinct_from(user_id))
        .where(PasskeyChallenge.flow_id.is_not_distinct_from(flow_id))
        .where(PasskeyChallenge.expires_at > now)
        .returning(PasskeyChallenge.challenge)
    ).one_or_none()


def known_credentials(session: Session, user_id: UUID) -> KnownCredentials:
    query = select(Passkey.credential_id, Passkey.transports).where(Passkey.user_id == user_id).order_by(Passkey.id)
    return [descriptor(row.credential_id, row.transports) for row in session.execute(query)]
