"""Making an API key. Its token is in the answer once, and nowhere afterwards."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.account_change import hold_account
from auth.api_keys.bodies import CreateKeyBody, NewKeyAnswer, key_answer
from auth.api_keys.list import is_live
from auth.api_keys.token import START_LENGTH, new_token
from auth.assembly import Auth
from auth.audit.record import record
from auth.mail.notices import notify
from auth.models import ApiKey, User
from auth.problems import EmailNotVerified
from auth.tokens.opaque import token_hash
from database import transaction
from security.edge.problems import Problem, TooManyRequests

KEYS_PER_USER = 25
NEW_KEYS_PER_HOUR = 30
"""Room for a rotation of all of them."""


class TooManyApiKeys(Problem):
    status, error = 409, "too_many_api_keys"
    title = f"An account can have up to {KEYS_PER_USER} API keys. Delete one first"


@dataclass(frozen=True)
class KeyRequest:
    """`scopes` are sorted, and `allowed_networks` are in their canonical form. `lifetime` None: no end."""

    name: str
    scopes: list[str]
    lifetime: timedelta | None
    allowed_networks: list[str]


def key_request(auth: Auth, body: CreateKeyBody) -> KeyRequest:
    """Without scopes, those whose calls are metered: what a program needs, and not what its owner reads."""
    return KeyRequest(
        body.name,
        sorted(auth.metered_scopes if body.scopes is None else set(body.scopes)),
        None if body.expires_in_days is None else timedelta(days=body.expires_in_days),
        list(dict.fromkeys(body.allowed_networks)),
    )


def create_api_key(auth: Auth, user_id: UUID, session_id: UUID | None, requested: KeyRequest) -> NewKeyAnswer:
    """`session_id` is None for an operator's command.

    Raises TooManyApiKeys, TooManyRequests, EmailNotVerified, and InvalidToken when the session has ended or the user is gone.
    """
    now = auth.clock()
    with transaction() as session:
        user = hold_account(session, user_id, session_id)
        refuse_unverified(auth, user)
        live = select(func.count()).where(ApiKey.user_id == user_id, is_live(now), ApiKey.replaced_by_id.is_(None))
        if session.scalars(live).one() >= KEYS_PER_USER:
            raise TooManyApiKeys
        made = insert_key(auth, session, user_id, requested, now)
        record(session, "api_key_created", now, user_id=user_id, session_id=session_id, key_id=str(made.id))
        notify(auth.mailer, session, "api_key_created", user.email, now)
    return made


def refuse_unverified(auth: Auth, user: User) -> None:
    """Raises EmailNotVerified where keys need a confirmed address."""
    if auth.settings.require_email_verification and not user.is_verified:
        raise EmailNotVerified


def key_problems(auth: Auth) -> tuple[type[Problem], ...]:
    """What a route that makes keys can answer because of it."""
    return (EmailNotVerified,) if auth.settings.require_email_verification else ()


def insert_key(auth: Auth, session: Session, user_id: UUID, requested: KeyRequest, now: datetime) -> NewKeyAnswer:
    """Raises TooManyRequests. The caller holds the user's row."""
    hour_ago = now - timedelta(hours=1)
    recent = select(ApiKey.created_at).where(ApiKey.user_id == user_id, ApiKey.created_at > hour_ago)
    made = sorted(session.scalars(recent))
    if len(made) >= NEW_KEYS_PER_HOUR:
        raise TooManyRequests(
            (made[0] - hour_ago).total_seconds(), f"You can create up to {NEW_KEYS_PER_HOUR} API keys an hour"
        )
    token = new_token()
    key = ApiKey(
        user_id=user_id,
        token_hash=token_hash(token),
        start=token[:START_LENGTH],
        name=requested.name,
        scopes=requested.scopes,
        allowed_networks=requested.allowed_networks,
        created_at=now,
        expires_at=None if requested.lifetime is None else now + requested.lifetime,
    )
    session.add(key)
    session.flush()
    return NewKeyAnswer(token=token, **dict(key_answer(key, auth.scopes, now)))
