"""Which tier a user's subscriptions make: one pure function of the rows and the time.

A tier's end is judged at every request (auth/tiers.py), so what this function says holds without any job running.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auth.tiers import Tier
from payments.models import Subscription
from payments.subscriptions.status import Provider, SubscriptionStatus

RENEWAL_LEEWAY = timedelta(hours=1)
"""How long a subscription that renews by itself counts beyond its period. The provider charges at that moment and tells us
a little later; without leeway every renewal would begin with a gap."""

HANDOVER = timedelta(minutes=5)
"""How long a tier counts beyond its end when a lower one goes on after it. A job that runs every minute hands over within
that time, so nobody falls to free in between."""

FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Entitlement:
    """`expires_at` is None for a tier without an end. `source` is None for free."""

    tier: Tier
    expires_at: datetime | None
    source: Provider | None


FREE = Entitlement(Tier.FREE, None, None)


def entitlement(rows: Iterable[Subscription], now: datetime) -> Entitlement:
    """The highest tier that is live at `now`. Among equal tiers the one that lasts longest."""
    live = [
        (Tier(row.tier).rank, until, row)
        for row in rows
        if row.tier != Tier.FREE and (until := access_until(row)) is not None and now < until
    ]
    if not live:
        return FREE
    rank, until, best = max(live, key=lambda each: each[:2])
    if until == FOREVER:
        return Entitlement(Tier(best.tier), None, Provider(best.provider))
    goes_on = any(other_rank < rank and other_until > until for other_rank, other_until, _ in live)
    return Entitlement(Tier(best.tier), until + HANDOVER if goes_on else until, Provider(best.provider))


def access_until(row: Subscription) -> datetime | None:
    """The moment at which this subscription stops to count; None when it does not count at all.

    Raises ValueError for a status that this release does not know: a guess would take access away.
    """
    status = SubscriptionStatus(row.status)
    if row.revoked_at is not None:
        return None
    match status:
        case SubscriptionStatus.ACTIVE | SubscriptionStatus.TRIALING:
            if row.period_end is None:
                return row.cancel_at or FOREVER
            renewed_by = row.period_end + RENEWAL_LEEWAY
            return renewed_by if row.cancel_at is None else min(renewed_by, row.cancel_at)
        case SubscriptionStatus.GRACE:
            return row.grace_end
        case SubscriptionStatus.BILLING_RETRY | SubscriptionStatus.UNKNOWN:
            return row.period_end
        case _:
            return None
