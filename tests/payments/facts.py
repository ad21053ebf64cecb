"""Facts of a provider, as tests need them."""

from datetime import datetime
from typing import Any

from auth.tiers import Tier
from payments.subscriptions.record import SubscriptionFact
from payments.subscriptions.status import Provider, SubscriptionStatus


def fact(version: int = 1, *, period_end: datetime | None, **changes: Any) -> SubscriptionFact:
    """A live monthly pro subscription at Stripe, unless changed."""
    values: dict[str, Any] = {
        "provider": Provider.STRIPE,
        "environment": "live",
        "external_id": "sub_1",
        "product_id": "price_1",
        "tier": Tier.PRO,
        "status": SubscriptionStatus.ACTIVE,
        "provider_status": "active",
        "version": version,
        "period_end": period_end,
    }
    return SubscriptionFact(**{**values, **changes})
