"""Keeping what can take back a Sign in with Apple: the App Store demands it when an account is deleted (App Review 5.1.1 v).

The app sends Apple's authorization code along with the ID token. Apple takes it once and within five minutes, so it
cannot be kept until the account is deleted: a job exchanges it at once, and the refresh token is kept.
"""

import base64
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.apple_tokens.client import AppleRefused, GrantedTokens
from auth.apple_tokens.models import AppleRefreshToken
from auth.assembly import Auth
from auth.data_keys import SealedValueUnreadable
from auth.identity_providers.bodies import AppleCodeFields, IdTokenBody, LinkIdentityBody
from auth.identity_providers.id_token import ProvenIdentity
from auth.models import Identity, User
from database import reading, transaction
from database.jobs.declare import JobName, Urgency, enqueue_job

EXCHANGE_APPLE_CODE = JobName("exchange_apple_code", Urgency.PAYMENTS)
"""Before e-mails: a code is worth nothing after five minutes."""


def exchange_later(auth: Auth, session: Session, proven: ProvenIdentity, body: IdTokenBody | LinkIdentityBody) -> None:
    """In the transaction that signs in or links. Nothing happens where no key of Apple's is set up, or no code was sent."""
    if auth.apple_tokens is None or not isinstance(body, AppleCodeFields) or body.authorization_code is None:
        return
    identity_id = session.scalars(
        select(Identity.id).where(Identity.provider == proven.provider, Identity.subject == proven.subject)
    ).one()
    enqueue_job(
        session,
        EXCHANGE_APPLE_CODE,
        identity_id=str(identity_id),
        client_id=proven.client_id,
        sealed_code=base64.b64encode(auth.data_keys.seal(body.authorization_code.encode(), identity_id.bytes)).decode(),
        redirect_uri=body.redirect_uri,
    )


def exchange_apple_code(
    auth: Auth, *, identity_id: str, client_id: str, sealed_code: str, redirect_uri: str | None
) -> int:
    """The job. 1 when the token is kept. A code that is not good is logged and that is all: the next sign-in brings another one.

    Raises AppleUnreachable, and AppleRefused when our key or app is at fault, so that operators see a failed job.
    """
    if auth.apple_tokens is None:
        return 0
    identity = UUID(identity_id)
    with reading() as session:
        subject = session.scalars(select(Identity.subject).where(Identity.id == identity)).one_or_none()
    try:
        code = auth.data_keys.open(base64.b64decode(sealed_code), identity.bytes).decode()
        granted = auth.apple_tokens.exchange(code, client_id, redirect_uri)
    except SealedValueUnreadable as error:
        return _not_exchanged(client_id, type(error).__name__)
    except AppleRefused as refusal:
        if not refusal.spent:
            raise
        return _not_exchanged(client_id, refusal.error)
    if subject is not None and granted.subject != subject:
        return _not_exchanged(client_id, "of somebody else")
    _keep(auth, identity, client_id, granted)
    return 1


def _not_exchanged(client_id: str, reason: str) -> int:
    structlog.get_logger().warning("apple_code_not_exchanged", client_id=client_id, reason=reason)
    return 0


def _keep(auth: Auth, identity_id: UUID, client_id: str, granted: GrantedTokens) -> None:
    """One for each app: the newest. If the identity was unlinked or the account closed meanwhile, it is kept to be revoked."""
    with transaction() as session:
        linked = select(Identity.id).join(User).where(Identity.id == identity_id, User.is_active)
        kept_for = session.scalars(linked.with_for_update(of=Identity)).one_or_none()
        sealed = auth.data_keys.seal(granted.refresh_token.encode(), client_id.encode())
        row = {"identity_id": kept_for, "client_id": client_id, "sealed_token": sealed, "created_at": auth.clock()}
        session.execute(
            insert(AppleRefreshToken)
            .values(**row)
            .on_conflict_do_update(
                index_elements=[AppleRefreshToken.identity_id, AppleRefreshToken.client_id], set_=row
            )
        )
