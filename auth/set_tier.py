"""Giving a tier by hand. How that is kept is the business of whoever owns tiers; this is the way while nobody else does."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from auth.models import User
from auth.tiers import Tier

SetTier = Callable[[Session, UUID, Tier, datetime | None, datetime], None]
"""Called with the transaction's session, the user, the tier, its end and now. The caller holds the user's row, raises the
state's version, and records the event.
"""


def set_tier_on_the_user(session: Session, user_id: UUID, tier: Tier, until: datetime | None, now: datetime) -> None:
    session.execute(
        update(User)
        .where(User.id == user_id)
        .values(tier=tier.value, tier_expires_at=until, tier_source="manual", updated_at=now)
        .execution_options(synchronize_session=False)
    )
