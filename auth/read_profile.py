"""What a user is shown of the own account."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auth.assembly import Auth
from auth.models import User
from auth.tiers import Tier, effective_tier
from database import reading
from security.edge.problems import InvalidToken


@dataclass(frozen=True)
class Profile:
    id: UUID
    email: str
    tier: Tier
    is_verified: bool
    display_name: str | None
    created_at: datetime


def read_profile(auth: Auth, user_id: UUID) -> Profile:
    """Raises InvalidToken when the user is gone."""
    with reading() as session:
        user = session.get(User, user_id)
        if user is None:
            raise InvalidToken
        return profile_of(user, auth.clock())


def profile_of(user: User, now: datetime) -> Profile:
    return Profile(
        id=user.id,
        email=user.email,
        tier=effective_tier(Tier(user.tier), user.tier_expires_at, now),
        is_verified=user.is_verified,
        display_name=user.display_name,
        created_at=user.created_at,
    )
