"""The JSON that the routes of payments give."""

from datetime import datetime

from auth.tiers import Tier
from payments.product_table import BillingCycle
from payments.subscriptions.status import Provider, SubscriptionStatus
from security.api.models import AnswerBody


class PriceAnswer(AnswerBody):
    amount: int
    """In the currency's minor units, before any taxes that are added at checkout."""
    currency: str
    interval: str
    """`month` or `year`."""


class OfferAnswer(AnswerBody):
    provider: Provider
    billing_cycle: BillingCycle
    product_id: str | None
    """Apple's product id, for StoreKit. Null on the web, where tier and cycle are enough."""
    price: PriceAnswer | None
    """What Stripe charges. Null for the App Store, where StoreKit knows the price in the buyer's currency, and while the
    price is not available from Stripe."""


class PlanAnswer(AnswerBody):
    tier: Tier
    title: str
    predictions_per_day: int | None
    """The same as `per_day` in `limits.predict`. Null means unlimited; 0 if predictions are turned off."""
    limits: dict[str, dict[str, int | None]]
    """The limits of each feature. Null means unlimited."""
    requests_per_minute: int | None
    """All requests, with a session or an API key. Null means unlimited."""
    account_calls_per_minute: int | None
    """Of those, requests to `/api/auth` while signed in. Null means unlimited."""
    features: list[str]
    """Options that a request may ask for, such as `enhanced_grounding` of a prediction."""
    benefits: list[str]
    """What the plan includes, in words for a price list."""
    offers: list[OfferAnswer]
    """Where the plan can be bought. Empty if it is not for sale."""


class PlansAnswer(AnswerBody):
    plans: list[PlanAnswer]


class SubscriptionItem(AnswerBody):
    provider: Provider
    tier: Tier
    status: SubscriptionStatus
    renews_at: datetime | None
    ends_at: datetime | None
    pending_tier: Tier | None
    """The tier from the next renewal on, if it will change."""
    environment: str | None
    manage_url: str | None


class SubscriptionAnswer(AnswerBody):
    tier: Tier
    """The user's tier now."""
    source: Provider | None
    """Where the tier comes from; null for free."""
    status: SubscriptionStatus | None
    renews_at: datetime | None
    ends_at: datetime | None
    pending_tier: Tier | None
    managed_by: Provider | None
    manage_url: str | None
    """Where the user can change or cancel it."""
    subscriptions: list[SubscriptionItem]
    """All subscriptions, so that users can see if they pay twice."""
