"""A job: whoever's tier has run out gets the one that is still paid for, or free."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.models import User
from auth.tiers import Tier
from database import reading, transaction
from database.base import Clock
from payments.entitlement import HANDOVER
from payments.grant_tier import recompute_tier

MOST_AT_ONCE = 500

Announce = Callable[[UUID, int], None]
"""`auth.states.changed`"""


def hand_over_tiers(clock: Clock, announce: Announce) -> int:
    """Each user in a transaction of their own, so that no lock is held for long. Returns how many changed."""
    now = clock()
    changed = 0
    for user_id in _due(now):
        with transaction() as session:
            change = recompute_tier(session, user_id, cause="time", now=clock())
        if change is not None:
            announce(change.user_id, change.version)
            changed += 1
    return changed


def _due(now: datetime) -> list[UUID]:
    """The handover is added to an end when a lower tier goes on, so it is looked for that much earlier."""
    with reading() as session:
        found = session.scalars(
            select(User.id)
            .where(User.tier != Tier.FREE, User.tier_expires_at <= now + HANDOVER)
            .order_by(User.tier_expires_at)
            .limit(MOST_AT_ONCE)
        )
        return list(found)
