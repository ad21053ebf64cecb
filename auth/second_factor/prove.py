"""Proving a second factor: by a code of the authenticator app, a recovery code or a passkey."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.assembly import Auth
from auth.audit.record import record
from auth.mail.notices import notify
from auth.models import User
from auth.second_factor.factors import Method
from auth.second_factor.models import WrongSecondFactor
from auth.second_factor.passkeys.challenges import ChallengePurpose, spend_challenge
from auth.second_factor.passkeys.verify import use_passkey
from auth.second_factor.passkeys.webauthn import Credential
from auth.second_factor.recovery_codes import spend_code
from auth.second_factor.totp import spend_totp_code
from database.base import uuid7
from security.edge.problems import TooManyRequests, Unauthorized

WRONG_IN_AN_HOUR = 20
NOTABLE_WRONG = 10
HOUR = timedelta(hours=1)


class SecondFactorRefused(Unauthorized):
    """One answer for wrong, used before and run out."""

    error, title = "second_factor_refused", "The code or passkey is wrong"


@dataclass(frozen=True)
class TotpCode:
    code: str


@dataclass(frozen=True)
class TypedRecoveryCode:
    code: str


@dataclass(frozen=True)
class SignedChallenge:
    credential: Credential


FactorProof = TotpCode | TypedRecoveryCode | SignedChallenge


def prove_second_factor(
    auth: Auth,
    session: Session,
    user: User,
    proof: FactorProof,
    now: datetime,
    *,
    flow_id: UUID,
    device_id: UUID | None = None,
) -> Method | None:
    """Which factor was proved; None when the proof is wrong, which is counted.

    The caller holds the user's row, and commits whatever comes out: it raises SecondFactorRefused after the transaction.
    Raises TooManyRequests, which counts nothing. `flow_id` is what a passkey's challenge was made for. A device that signed in
    before has a count of its own, so that a stranger who knows the password cannot lock it out.
    """
    _check_patience(session, user.id, device_id, now)
    method = _judge(auth, session, user, proof, now, flow_id=flow_id)
    if method is None:
        wrong = WrongSecondFactor(id=uuid7(), user_id=user.id, device_id=device_id, tried_at=now)
        session.add(wrong)
        record(session, "second_factor_failed", now, user_id=user.id)
        if _wrong_since(session, user.id, device_id, now - HOUR)[0] == NOTABLE_WRONG:
            notify(auth.mailer, session, "many_wrong_second_factors", user.email, now)
    elif method is Method.RECOVERY_CODE:
        record(session, "recovery_code_used", now, user_id=user.id)
        notify(auth.mailer, session, "recovery_code_used", user.email, now)
    return method


def _judge(
    auth: Auth, session: Session, user: User, proof: FactorProof, now: datetime, *, flow_id: UUID
) -> Method | None:
    if isinstance(proof, TotpCode):
        right = spend_totp_code(session, auth.data_keys, user.id, proof.code, now)
        return Method.TOTP if right else None
    if isinstance(proof, TypedRecoveryCode):
        right = spend_code(session, auth.data_keys, user.id, proof.code, now)
        return Method.RECOVERY_CODE if right else None
    challenge = spend_challenge(
        session, ChallengePurpose.SECOND_FACTOR, proof.credential, now, user_id=user.id, flow_id=flow_id
    )
    if challenge is None:
        return None
    right = use_passkey(auth, session, user, proof.credential, challenge, now=now, verify_user=False)
    return Method.PASSKEY if right else None


def _check_patience(session: Session, user_id: UUID, device_id: UUID | None, now: datetime) -> None:
    """Raises TooManyRequests. Exact, because whoever counts holds the user's row."""
    wrong, first = _wrong_since(session, user_id, device_id, now - HOUR)
    if wrong >= WRONG_IN_AN_HOUR and first is not None:
        raise TooManyRequests((first + HOUR - now).total_seconds(), "Too many wrong codes for this account")


def _wrong_since(
    session: Session, user_id: UUID, device_id: UUID | None, since: datetime
) -> tuple[int, datetime | None]:
    """How many, and when the first of them was."""
    row = session.execute(
        select(func.count(), func.min(WrongSecondFactor.tried_at)).where(
            WrongSecondFactor.user_id == user_id,
            WrongSecondFactor.tried_at > since,
            WrongSecondFactor.device_id.is_not_distinct_from(device_id),
        )
    ).one()
    return row[0], row[1]
