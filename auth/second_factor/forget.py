"""Forgetting second factors, when whoever set them up was not the account's owner, or the owner lost them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from auth.second_factor.factors import forget_codes_without_factor
from auth.second_factor.models import Passkey, PasskeyChallenge, RecoveryCode, SignInChallenge, TotpSecret


def forget_factors(session: Session, user_id: UUID, *, since: datetime | None = None) -> int:
    """All of them, or those that were set up since then; says how many apps and passkeys. A stranger's passkey would stay a
    way in for ever."""
    gone = {}
    for table in (TotpSecret, Passkey, RecoveryCode):
        query = delete(table).where(table.user_id == user_id)
        if since is not None:
            query = query.where(table.created_at >= since)
        forgotten = session.execute(query.returning(table.user_id))
        gone[table] = len(forgotten.all())
    forget_codes_without_factor(session, user_id)
    return gone[TotpSecret] + gone[Passkey]


def void_unfinished(session: Session, user_id: UUID, *, keep_session: UUID | None = None) -> None:
    """Sign-ins that wait for their second factor, setups that were not confirmed, and challenges that no passkey has signed."""
    for query in (
        delete(SignInChallenge).where(SignInChallenge.user_id == user_id),
        delete(TotpSecret).where(TotpSecret.user_id == user_id, TotpSecret.confirmed_at.is_(None)),
        delete(PasskeyChallenge).where(
            PasskeyChallenge.user_id == user_id, PasskeyChallenge.flow_id.is_distinct_from(keep_session)
        ),
    ):
        session.execute(query)
