"""Forgetting every second factor, when whoever set them up was not the account's owner."""

from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from auth.second_factor.models import Passkey, RecoveryCode, SignInChallenge, TotpSecret


def forget_factors(session: Session, user_id: UUID) -> None:
    """Nobody had proved the address yet. A passkey of the stranger who registered it would stay a back door for ever."""
    for table in (TotpSecret, RecoveryCode, Passkey, SignInChallenge):
        session.execute(delete(table).where(table.user_id == user_id).execution_options(synchronize_session=False))
