"""Which second factors an account has, and what happens whenever that changes.

An account has a second factor as soon as an authenticator app is confirmed or a passkey is registered. From then on every
sign-in asks for one, however it began. Recovery codes come with the first factor and go with the last one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from auth.account_change import AccountChange, account_change, hold_account
from auth.assembly import Auth
from auth.audit.record import record
from auth.mail.notices import notify
from auth.principal import Principal
from auth.second_factor.models import Passkey, RecoveryCode, TotpSecret
from auth.sessions.end import end_sessions
from database import reading
from security.edge.problems import Problem


class SecondFactorOff(Problem):
    status, error, title = 409, "second_factor_off", "This account has no second factor"


class Method(StrEnum):
    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery_code"


@dataclass(frozen=True)
class Factors:
    totp: bool
    passkeys: int
    recovery_codes_left: int

    @property
    def on(self) -> bool:
        return self.totp or self.passkeys > 0

    @property
    def methods(self) -> tuple[Method, ...]:
        """What a sign-in may be finished with; empty when nothing is asked for."""
        if not self.on:
            return ()
        offered = {
            Method.TOTP: self.totp,
            Method.PASSKEY: self.passkeys,
            Method.RECOVERY_CODE: self.recovery_codes_left,
        }
        return tuple(method for method, there in offered.items() if there)


def factors_of(session: Session, user_id: UUID) -> Factors:
    totp = (
        select(TotpSecret.user_id).where(TotpSecret.user_id == user_id, TotpSecret.confirmed_at.is_not(None)).exists()
    )
    passkeys = select(func.count()).where(Passkey.user_id == user_id).scalar_subquery()
    codes = select(func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    row = session.execute(select(totp, passkeys, codes.scalar_subquery())).one()
    return Factors(*row)


def read_factors(user_id: UUID) -> Factors:
    with reading() as session:
        return factors_of(session, user_id)


@contextmanager
def changing_factors(auth: Auth, caller: Principal, event: str) -> Iterator[AccountChange]:
    """A transaction that changes the caller's factors and holds the user's row.

    All other sessions end, because whoever opened them did not show what is asked for now (OWASP ASVS 5, 7.4.3). The owner
    gets a notice and the audit log an event. Raises InvalidToken when the caller's session has ended or the user is gone.
    """
    now = auth.clock()
    with account_change(auth.states, now) as change:
        session = change.session
        email = hold_account(session, caller.user_id, caller.session_id).email
        yield change
        end_sessions(change, caller.user_id, "second_factor_changed", keep=caller.session_id)
        record(session, event, now, user_id=caller.user_id, session_id=caller.session_id)
        notify(auth.mailer, session, event, email, now)


def forget_codes_without_factor(session: Session, user_id: UUID) -> None:
    """Recovery codes stand in for a factor. With none left they would only be one more thing to steal."""
    if not factors_of(session, user_id).on:
        session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
