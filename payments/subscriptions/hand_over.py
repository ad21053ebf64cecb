"""A job: whoever's tier has run out gets the one that is still paid for, or free."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.models import User
from auth.tiers import Tier
from database import reading, transaction
from database.base import Clock
from database.batch import work_through
from payments.subscriptions.entitlement import HANDOVER
from payments.subscriptions.grant_tier import Announce, announce_change, recompute_tier


def hand_over_tiers(clock: Clock, announce: Announce) -> int:
    """Each user in a transaction of their own, so that no lock is held for long. Returns how many changed."""

    def hand_over(user_id: UUID) -> int:
        with transaction() as session:
            change = recompute_tier(session, user_id, cause="time", now=clock())
        announce_change(announce, change)
        return change is not None

    return work_through("hand_over_tiers", _due(clock()), hand_over)


def _due(now: datetime) -> Sequence[UUID]:
    """The handover is added to an end when a lower tier goes on, so it is looked for that much earlier.

    All of them: with a limit, as many that fail would keep everybody behind them waiting.
    """
    with reading() as session:
        return session.scalars(
            select(User.id)
            .where(User.tier != Tier.FREE, User.tier_expires_at <= now + HANDOVER)
            .order_by(User.tier_expires_at)
        ).all()
