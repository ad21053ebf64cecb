"""Refreshing: one refresh token is traded for its successor, exactly once, and a stolen one is noticed.

OWASP ASVS 5 (10.4.5) wants every reuse of a spent token to end the session; FAPI 2.0 wants a client whose answer was lost
to be able to ask again. So a spent token gives the same successor once more for a short while, or for as long as it comes
with the Idempotency-Key of the first try, which only the client that tried knows. Any other use of it ends the session.
"""

import hashlib
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, exists, func, select, update
from sqlalchemy.orm import Session

from auth.assembly import Auth
from auth.models import AuthSession, User
from auth.sessions.end import end_session
from auth.sessions.token_pair import TokenPair, issue_tokens
from auth.tokens.refresh_token import PresentedToken, RefreshTokenNotValid, read_refresh_token
from database import transaction
from security.edge.problems import TooManyRequests


def refresh_session(auth: Auth, refresh_token: str, idempotency_key: str | None, ip: str) -> TokenPair:
    """`ip` is noted as where the session was used last. Raises RefreshTokenNotValid, TooManyRequests."""
    presented = read_refresh_token(refresh_token)
    if presented is None:
        raise RefreshTokenNotValid
    # Refused before anything changes, and counted when the token has proved genuine: a forger uses up nobody's refreshes.
    within = auth.settings.limits.refresh_of_one_session, "refresh_session", str(presented.session_id)
    auth.address_limits.check_subject(*within)
    key_hash = hashlib.sha256(idempotency_key.encode()).digest() if idempotency_key is not None else None
    with transaction() as session:
        outcome = _rotate(auth, session, presented, key_hash, ip)
    if isinstance(outcome, UUID):
        # In a transaction of its own: this one may hold the session's row, and the user's row has to be locked first.
        end_session(auth, user_id=outcome, session_id=presented.session_id, reason="reuse")
        raise RefreshTokenNotValid
    with suppress(TooManyRequests):  # this one is done; the next will be refused
        auth.address_limits.count_subject(*within)
    return outcome


def _rotate(
    auth: Auth, session: Session, presented: PresentedToken, key_hash: bytes | None, ip: str
) -> TokenPair | UUID:
    """The owner of the session instead, when its token was used that is spent."""
    now = auth.clock()
    row = session.scalars(_rotation(auth, presented, key_hash, ip, now)).one_or_none()
    if row is not None:
        if not auth.refresh_tokens.is_genuine(presented, row.salt):
            raise RefreshTokenNotValid  # rolls the rotation back: a forger must not spend the owner's token
        return issue_tokens(row, auth.access_tokens, auth.refresh_tokens)
    owned = select(AuthSession, User.is_active).join(User, User.id == AuthSession.user_id)
    found = session.execute(owned.where(AuthSession.id == presented.session_id)).one_or_none()
    if found is None:
        raise RefreshTokenNotValid
    row, is_active = found
    lives = is_active and row.revoked_at is None and now < row.expires_at and now < row.idle_expires_at
    if not auth.refresh_tokens.is_genuine(presented, row.salt) or not lives or presented.generation > row.generation:
        raise RefreshTokenNotValid
    if row.generation == presented.generation + 1 and _is_retry(auth, row, key_hash, now):
        return issue_tokens(row, auth.access_tokens, auth.refresh_tokens)
    return row.user_id


def _rotation(auth: Auth, presented: PresentedToken, key_hash: bytes | None, ip: str, now: datetime) -> Any:
    """One statement decides a race: whoever finds the presented generation moves it on, the others find nothing."""
    lifetimes = auth.settings.sessions
    idle_end = case(
        (AuthSession.remember, now + lifetimes.remembered_idle),
        else_=now + lifetimes.idle,
    )
    return (
        update(AuthSession)
        .where(AuthSession.id == presented.session_id, AuthSession.generation == presented.generation)
        .where(AuthSession.revoked_at.is_(None))
        .where(AuthSession.expires_at > now, AuthSession.idle_expires_at > now)
        .where(exists().where(User.id == AuthSession.user_id, User.is_active))
        .values(
            generation=AuthSession.generation + 1,
            rotated_at=now,
            rotation_key_hash=key_hash,
            last_seen_at=now,
            ip_last=ip,
            idle_expires_at=func.least(idle_end, AuthSession.expires_at),
        )
        .returning(AuthSession)
    )


def _is_retry(auth: Auth, row: AuthSession, key_hash: bytes | None, now: datetime) -> bool:
    """Whether this is the client of the last rotation, which did not get its answer."""
    soon = row.rotated_at is not None and now - row.rotated_at < auth.settings.refresh_grace
    return soon or (key_hash is not None and key_hash == row.rotation_key_hash)
