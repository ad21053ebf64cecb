"""The profile of the caller's account: what it shows, and the name, which its owner may change."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.account_change import hold_account
from auth.email_address import EmailAddress, parse_email
from auth.models import User
from auth.tiers import Tier, effective_tier
from database import reading, transaction
from security.api.models import AnswerBody
from security.edge.problems import InvalidToken


class UserAnswer(AnswerBody):
    id: UUID
    email: str
    tier: Tier
    """Your current tier. An expired tier is `free`."""
    is_verified: bool
    display_name: str | None
    created_at: datetime


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


def change_display_name(user_id: UUID, display_name: str | None, now: datetime) -> UserAnswer:
    """None takes the name away. Raises InvalidToken when the user is gone."""
    with transaction() as session:
        user = hold_account(session, user_id)
        user.display_name, user.updated_at = display_name, now
        return profile_of(user, now)


def profile_of(user: User, now: datetime) -> UserAnswer:
    return UserAnswer(
        id=user.id,
        email=user.email,
        tier=effective_tier(Tier(user.tier), user.tier_expires_at, now),
        is_verified=user.is_verified,
        display_name=user.display_name,
        created_at=user.created_at,
    )
