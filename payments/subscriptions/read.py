"""What a user is shown of the own subscription."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from auth.tiers import Tier
from database import reading
from payments.bodies import SubscriptionAnswer, SubscriptionItem
from payments.models import Subscription
from payments.subscriptions.entitlement import FOREVER, access_until, entitlement
from payments.subscriptions.status import Provider, SubscriptionStatus

RENEWING = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING})

ManageUrls = Mapping[Provider, str]
"""Where the user changes or cancels what a provider sold."""


def read_subscription(user_id: UUID, manage_urls: ManageUrls, now: datetime) -> SubscriptionAnswer:
    """`subscriptions` are the newest first."""
    with reading() as session:
        rows = session.scalars(
            select(Subscription).where(Subscription.user_id == user_id).order_by(Subscription.id.desc())
        ).all()
    due = entitlement(rows, now)
    shown = [own_subscription(row, manage_urls) for row in rows]
    live = [
        (until, own)
        for row, own in zip(rows, shown, strict=True)
        if (own.provider, own.tier) == (due.source, due.tier) and (until := access_until(row)) is not None
    ]
    governing = max(live, key=lambda each: each[0])[1] if live else None  # None for free
    return SubscriptionAnswer(
        tier=due.tier,
        source=governing.provider if governing else None,
        status=governing.status if governing else None,
        renews_at=governing.renews_at if governing else None,
        ends_at=governing.ends_at if governing else None,
        pending_tier=governing.pending_tier if governing else None,
        managed_by=governing.provider if governing else None,
        manage_url=governing.manage_url if governing else None,
        subscriptions=shown,
    )


def own_subscription(row: Subscription, manage_urls: ManageUrls) -> SubscriptionItem:
    """It goes on or comes to an end. Both times stand there when it renews once more before a planned end."""
    until = access_until(row)
    renews = row.status in RENEWING and renews_again(row)
    ends_at = until if until is not None else row.revoked_at or row.period_end
    return SubscriptionItem(
        provider=Provider(row.provider),
        tier=Tier(row.tier),
        status=SubscriptionStatus(row.status),
        renews_at=row.period_end if renews else None,
        ends_at=row.cancel_at if renews else None if ends_at == FOREVER else ends_at,
        pending_tier=None if row.pending_tier is None else Tier(row.pending_tier),
        environment=row.environment,
        manage_url=manage_urls.get(Provider(row.provider)),
    )


def renews_again(row: Subscription) -> bool:
    """Before the end that was planned, if one was."""
    return row.cancel_at is None or (row.period_end is not None and row.cancel_at > row.period_end)
