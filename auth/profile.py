"""The profile of the caller's account: what it shows, and the names, which its owner may change."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from auth.account_change import hold_account
from auth.email_address import EmailAddress, parse_email
from auth.models import User
from auth.principal import Role
from auth.problems import UsernameTaken
from auth.tiers import Tier, effective_tier
from database import reading, transaction
from security.api.models import AnswerBody
from security.edge.problems import InvalidToken

UNIQUE_USERNAME = "uq_users_username"


class UserAnswer(AnswerBody):
    id: UUID
    email: str
    username: str | None
    tier: Tier
    """Your current tier. An expired tier is `free`."""
    is_verified: bool
    is_active: bool
    is_admin: bool
    display_name: str | None
    created_at: datetime
    updated_at: datetime


def read_profile(user_id: UUID, now: datetime) -> UserAnswer:
    """Raises InvalidToken when the user is gone."""
    with reading() as session:
        user = session.get(User, user_id)
        if user is None:
            raise InvalidToken
        return profile_of(user, now)


def read_address(user_id: UUID) -> EmailAddress:
    """Raises InvalidToken when the user is gone."""
    with reading() as session:
        email = session.scalars(select(User.email).where(User.id == user_id)).one_or_none()
    if email is None:
        raise InvalidToken
    return parse_email(email)


def change_names(user_id: UUID, names: Mapping[str, str | None], now: datetime) -> UserAnswer:
    """`names`: `display_name` and `username`. None takes one away, and one that is missing stays.

    Raises UsernameTaken, and InvalidToken when the user is gone.
    """
    with _refusing_a_taken_username(), transaction() as session:
        user = hold_account(session, user_id)
        for name, text in names.items():
            setattr(user, name, text)
        user.updated_at = now
        session.flush()
        return profile_of(user, now)


@contextmanager
def _refusing_a_taken_username() -> Iterator[None]:
    """The unique index decides between those who want one username at the same moment."""
    try:
        yield
    except IntegrityError as error:
        if UNIQUE_USERNAME in str(error.orig):
            raise UsernameTaken from None
        raise


def profile_of(user: User, now: datetime) -> UserAnswer:
    return UserAnswer(
        id=user.id,
        email=user.email,
        username=user.username,
        tier=effective_tier(Tier(user.tier), user.tier_expires_at, now),
        is_verified=user.is_verified,
        is_active=user.is_active,
        is_admin=user.role == Role.ADMIN,
        display_name=user.display_name,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )
