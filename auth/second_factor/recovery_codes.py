"""Recovery codes: what a user keeps on paper for the day when the phone is gone. Each works once.

Fifty bits are too few for a plain hash (OWASP ASVS 5, 6.5.2), so what is stored is an HMAC under a key that is not in the
database.
"""

import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from auth.account_change import AccountChange
from auth.assembly import Auth
from auth.data_keys import DataKeys
from auth.principal import Principal
from auth.second_factor.factors import SecondFactorOff, changing_factors, factors_of
from auth.second_factor.models import RecoveryCode
from auth.tokens.typed_code import new_code, read_code

CODES = 10


def replace_recovery_codes(auth: Auth, caller: Principal) -> list[str]:
    """Give new codes; the old ones are void. Raises SecondFactorOff."""
    with changing_factors(auth, caller, "recovery_codes_replaced") as change:
        if not factors_of(change.session, caller.user_id).on:
            raise SecondFactorOff
        return write_codes(change, auth.data_keys, caller.user_id)


def write_codes(change: AccountChange, keys: DataKeys, user_id: UUID) -> list[str]:
    """Ten new codes in place of all others, as the user will see them this one time."""
    change.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = [new_code() for _ in range(CODES)]
    for code in codes:
        salt = secrets.token_bytes(16)
        change.session.add(
            RecoveryCode(
                user_id=user_id,
                salt=salt,
                digest=keys.digest(salt + read_code(code).encode()),
                created_at=change.now,
            )
        )
    return codes


def spend_code(session: Session, keys: DataKeys, user_id: UUID, typed: str, now: datetime) -> bool:
    """Whether it was one of the user's codes that were left. Of several at once, one succeeds."""
    code = read_code(typed).encode()
    query = select(RecoveryCode.id, RecoveryCode.salt, RecoveryCode.digest)
    for row in session.execute(query.where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))).all():
        if keys.digest_matches(row.digest, row.salt + code):
            spent = session.execute(
                update(RecoveryCode)
                .where(RecoveryCode.id == row.id, RecoveryCode.used_at.is_(None))
                .values(used_at=now)
                .returning(RecoveryCode.id)
            )
            return spent.one_or_none() is not None
    return False
