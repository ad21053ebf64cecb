"""Forgetting second factors, when whoever set them up was not the account's owner."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from auth.second_factor.models import Passkey, RecoveryCode, SignInChallenge, TotpSecret


def forget_factors(session: Session, user_id: UUID, *, since: datetime | None = None) -> None:
    """All of them, or those that were set up since then: a passkey of a stranger would stay a back door for ever.

    Sign-ins that wait for a second factor are void in either case.
    """
    for table in (TotpSecret, RecoveryCode, Passkey):
        query = delete(table).where(table.user_id == user_id)
        if since is not None:
            query = query.where(table.created_at >= since)
        session.execute(query.execution_options(synchronize_session=False))
    waiting = delete(SignInChallenge).where(SignInChallenge.user_id == user_id)
    session.execute(waiting.execution_options(synchronize_session=False))
