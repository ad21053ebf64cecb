"""Asking for the second factor, once the first one was right. Until it comes there is no session."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.audit.record import record
from auth.models import User
from auth.second_factor.factors import Method, factors_of
from auth.second_factor.models import SignInChallenge
from auth.tokens.opaque import token_hash
from security.edge.problems import Unauthorized

PREFIX = "sc_"
LONGEST_TOKEN = 64
LIFETIME = timedelta(minutes=5)
TRIES = 5


class SecondFactorRequired(Unauthorized):
    """The password, or the provider's word, was right. Said to nobody else.

    `challenge` goes back with the second factor, `methods` names those that this account has.
    """

    error, title = "mfa_required", "Enter your second factor to finish signing in"

    def __init__(self, challenge: str = "", methods: Sequence[Method] = ()) -> None:
        super().__init__(
            challenge=challenge,
            methods=list(methods),
            expires_in=int(LIFETIME.total_seconds()),
        )


def second_factor_needed(
    session: Session,
    user: User,
    now: datetime,
    *,
    method: str,
    remember: bool,
    device_id: UUID | None = None,
) -> SecondFactorRequired | None:
    """What to raise after the transaction is committed; None when the account has no second factor.

    `method` is what the first factor was, `device_id` the known device that it came from, `remember`
    what the client asked for with it. The caller holds the user's row.
    """
    methods = factors_of(session, user.id).methods
    if not methods:
        return None
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(
        SignInChallenge(
            user_id=user.id,
            token_hash=token_hash(token),
            method=method,
            device_id=device_id,
            choices={"remember": remember},
            state_version=user.state_version,
            created_at=now,
            expires_at=now + LIFETIME,
        )
    )
    record(session, "second_factor_asked", now, user_id=user.id, method=method)
    return SecondFactorRequired(token, methods)


def find_waiting(session: Session, token: str, now: datetime) -> SignInChallenge | None:
    """The sign-in that waits under this token, unless it is void, too old or was tried too often."""
    return session.scalars(
        select(SignInChallenge)
        .join(User, User.id == SignInChallenge.user_id)
        .where(SignInChallenge.token_hash == token_hash(token), SignInChallenge.state_version == User.state_version)
        .where(SignInChallenge.expires_at > now, SignInChallenge.tries < TRIES)
    ).one_or_none()
