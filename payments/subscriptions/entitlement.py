"""Which tier a user's subscriptions make: one pure function of the rows and the time.

A tier's end is judged at every request (auth/tiers.py), so what this function says holds without any job running.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auth.tiers import Tier
from payments.subscriptions.status import Provider, SubscriptionStatus

RENEWAL_LEEWAY = timedelta(hours=1)
"""How long a subscription that renews by itself counts beyond its period. The provider charges at that moment and tells us
a little later; without leeway every renewal would begin with a gap."""

HANDOVER = timedelta(minutes=5)
"""How long a tier counts beyond its end when a lower one goes on after it. A job that runs every minute hands over within
that time, so nobody falls to free in between."""

FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Holding:
    """What counts of one subscription."""

    provider: Provider
    tier: Tier
    status: SubscriptionStatus
    period_end: datetime | None = None
    grace_end: datetime | None = None
    cancel_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True)
class Entitlement:
    """`expires_at` is None for a tier without an end. `source` is None for free."""

    tier: Tier
    expires_at: datetime | None
    source: Provider | None


FREE = Entitlement(Tier.FREE, None, None)


def entitlement(holdings: Iterable[Holding], now: datetime) -> Entitlement:
    """The highest tier that is live at `now`. Among equal tiers the one that lasts longest."""
    live = [
        (holding.tier.rank, until, holding)
        for holding in holdings
        if holding.tier is not Tier.FREE and (until := access_until(holding)) is not None and now < until
    ]
    if not live:
        return FREE
    rank, until, best = max(live, key=lambda each: each[:2])
    if until == FOREVER:
        return Entitlement(best.tier, None, best.provider)
    goes_on = any(other_rank < rank and other_until > until for other_rank, other_until, _ in live)
    return Entitlement(best.tier, until + HANDOVER if goes_on else until, best.provider)


def access_until(holding: Holding) -> datetime | None:
    """The moment at which this subscription stops to count; None when it does not count at all."""
    if holding.revoked_at is not None:
        return None
    match holding.status:
        case SubscriptionStatus.ACTIVE | SubscriptionStatus.TRIALING:
            if holding.period_end is None:
                return holding.cancel_at or FOREVER
            renewed_by = holding.period_end + RENEWAL_LEEWAY
            return renewed_by if holding.cancel_at is None else min(renewed_by, holding.cancel_at)
        case SubscriptionStatus.GRACE:
            return holding.grace_end
        case SubscriptionStatus.BILLING_RETRY | SubscriptionStatus.UNKNOWN:
            return holding.period_end
        case _:
            return None
