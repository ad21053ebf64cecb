"""Taking back Sign in with Apple at Apple: when the account is closed, the identity unlinked, or either deleted."""

from uuid import UUID

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from auth.apple_tokens.client import AppleRefused, AppleTokens, AppleUnreachable
from auth.apple_tokens.models import AppleRefreshToken
from auth.assembly import Auth
from auth.data_keys import SealedValueUnreadable
from auth.models import Identity
from database import reading, transaction
from database.batch import not_passed_over, work_through

PORTION = 200


def let_go_of_apple_tokens(session: Session, user_id: UUID) -> None:
    """The identities stay, so that the owner can have the account back with them. Deleting an identity needs no such call."""
    own = select(Identity.id).where(Identity.user_id == user_id)
    session.execute(update(AppleRefreshToken).where(AppleRefreshToken.identity_id.in_(own)).values(identity_id=None))


def revoke_apple_tokens(auth: Auth) -> int:
    """A job, every minute. Returns how many are gone. While Apple cannot be reached they wait for the next turn."""
    if auth.apple_tokens is None:
        return 0
    apple = auth.apple_tokens
    let_go = select(AppleRefreshToken.id).where(
        AppleRefreshToken.identity_id.is_(None), not_passed_over("revoke_apple_tokens", AppleRefreshToken.id)
    )
    with reading() as session:
        found = session.scalars(let_go.order_by(AppleRefreshToken.created_at).limit(PORTION)).all()
    try:
        return work_through(
            "revoke_apple_tokens", found, lambda row_id: _revoke(auth, apple, row_id), unless=AppleUnreachable
        )
    except AppleUnreachable as error:
        structlog.get_logger().warning("apple_unreachable", reason=str(error))
        return 0


def _revoke(auth: Auth, apple: AppleTokens, row_id: UUID) -> int:
    """A token that Apple will never take is given up. A refusal of our key or app raises: operators can repair that."""
    with reading() as session:
        row = session.get(AppleRefreshToken, row_id)
        if row is None:
            return 0
        client_id, sealed = row.client_id, row.sealed_token
    try:
        apple.revoke(auth.data_keys.open(sealed, client_id.encode()).decode(), client_id)
    except SealedValueUnreadable as error:
        _given_up(client_id, type(error).__name__)
    except AppleRefused as refusal:
        if not refusal.spent:
            raise
        _given_up(client_id, refusal.error)
    with transaction() as session:
        session.execute(delete(AppleRefreshToken).where(AppleRefreshToken.id == row_id))
    return 1


def _given_up(client_id: str, reason: str) -> None:
    structlog.get_logger().error("apple_token_not_revoked", client_id=client_id, reason=reason)
