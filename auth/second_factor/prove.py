"""Proving a second factor: by a code of the authenticator app, a recovery code or a passkey."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.account_change import AccountChange, Refused
from auth.assembly import Auth
from auth.audit.record import record
from auth.mail.notices import notify
from auth.metrics import LOCKOUTS
from auth.models import User
from auth.second_factor.bodies import ByPasskey, ByRecoveryCode, ByTotpCode, document_of
from auth.second_factor.factors import Method
from auth.second_factor.models import WrongSecondFactor
from auth.second_factor.passkeys.challenges import ChallengePurpose, spend_challenge
from auth.second_factor.passkeys.verify import use_passkey
from auth.second_factor.recovery_codes import spend_code
from auth.second_factor.totp import spend_totp_code
from security.edge.problems import TooManyRequests, Unauthorized

WRONG_IN_AN_HOUR = 20
NOTABLE_WRONG = 10
HOUR = timedelta(hours=1)


class SecondFactorRefused(Unauthorized):
    """One answer for wrong, used before and run out."""

    error, title = "second_factor_refused", "The code or passkey is wrong"


FactorProof = ByTotpCode | ByRecoveryCode | ByPasskey


def prove_second_factor(
    auth: Auth, change: AccountChange, user: User, proof: FactorProof, *, flow_id: UUID, device_id: UUID | None = None
) -> Method:
    """Which factor was proved. The caller holds the user's row.

    Raises Refused with SecondFactorRefused when the proof is wrong, which is counted, and TooManyRequests, which counts
    nothing. `flow_id` is what a passkey's challenge was made for. A device that signed in before has a count of its own, so
    that a stranger who knows the password cannot lock it out.
    """
    session, now = change.session, change.now
    _check_patience(session, user.id, device_id, now)
    method = _judge(auth, session, user, proof, now, flow_id=flow_id)
    if method is None:
        session.add(WrongSecondFactor(user_id=user.id, device_id=device_id, tried_at=now))
        record(session, "second_factor_failed", now, user_id=user.id)
        if _wrong_since(session, user.id, device_id, now - HOUR)[0] == NOTABLE_WRONG:
            notify(auth.mailer, session, "many_wrong_second_factors", user.email, now)
        raise Refused(SecondFactorRefused())
    if method is Method.RECOVERY_CODE:
        record(session, "recovery_code_used", now, user_id=user.id)
        notify(auth.mailer, session, "recovery_code_used", user.email, now)
    return method


def _judge(
    auth: Auth, session: Session, user: User, proof: FactorProof, now: datetime, *, flow_id: UUID
) -> Method | None:
    if isinstance(proof, ByTotpCode):
        right = spend_totp_code(session, auth.data_keys, user.id, proof.totp_code, now)
        return Method.TOTP if right else None
    if isinstance(proof, ByRecoveryCode):
        right = spend_code(session, auth.data_keys, user.id, proof.recovery_code, now)
        return Method.RECOVERY_CODE if right else None
    credential = document_of(proof.passkey)
    challenge = spend_challenge(
        session, ChallengePurpose.SECOND_FACTOR, credential, now, user_id=user.id, flow_id=flow_id
    )
    if challenge is None:
        return None
    right = use_passkey(auth, session, user, credential, challenge, now=now, verify_user=False)
    return Method.PASSKEY if right else None


def _check_patience(session: Session, user_id: UUID, device_id: UUID | None, now: datetime) -> None:
    """Raises TooManyRequests. Exact, because whoever counts holds the user's row."""
    wrong, first = _wrong_since(session, user_id, device_id, now - HOUR)
    if wrong >= WRONG_IN_AN_HOUR and first is not None:
        LOCKOUTS.labels("second_factor").inc()
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
