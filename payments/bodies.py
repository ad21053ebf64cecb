"""The JSON that the routes of payments give."""

from collections.abc import Mapping
from datetime import datetime

from auth.tiers import Tier
from payments.plans import PlanOffer, Price
from payments.product_table import BillingCycle
from payments.subscriptions.read import OwnEntitlement, OwnSubscription
from payments.subscriptions.status import Provider, SubscriptionStatus
from security.api.operation import AnswerBody


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


SWITCHED_OFF = {"per_day": 0}


def plan_answer(plan: PlanOffer, stripe_prices: Mapping[tuple[Tier, BillingCycle], Price]) -> PlanAnswer:
    return PlanAnswer(
        tier=plan.tier,
        title=plan.title,
        predictions_per_day=plan.limits.get("predict", SWITCHED_OFF)["per_day"],
        limits={feature: dict(limits) for feature, limits in plan.limits.items()},
        requests_per_minute=plan.requests_per_minute,
        features=list(plan.options),
        benefits=list(plan.benefits),
        offers=[
            OfferAnswer(
                provider=offer.provider,
                billing_cycle=offer.billing_cycle,
                product_id=offer.product_id,
                price=(
                    price_answer(stripe_prices.get((plan.tier, offer.billing_cycle)))
                    if offer.provider is Provider.STRIPE
                    else None
                ),
            )
            for offer in plan.offers
        ],
    )


def price_answer(price: Price | None) -> PriceAnswer | None:
    return None if price is None else PriceAnswer(amount=price.amount, currency=price.currency, interval=price.interval)


def subscription_answer(own: OwnEntitlement) -> SubscriptionAnswer:
    governing = own.governing
    return SubscriptionAnswer(
        tier=own.tier,
        source=governing.provider if governing else None,
        status=governing.status if governing else None,
        renews_at=governing.renews_at if governing else None,
        ends_at=governing.ends_at if governing else None,
        pending_tier=governing.pending_tier if governing else None,
        managed_by=governing.provider if governing else None,
        manage_url=governing.manage_url if governing else None,
        subscriptions=[subscription_item(each) for each in own.all],
    )


def subscription_item(own: OwnSubscription) -> SubscriptionItem:
    return SubscriptionItem(
        provider=own.provider,
        tier=own.tier,
        status=own.status,
        renews_at=own.renews_at,
        ends_at=own.ends_at,
        pending_tier=own.pending_tier,
        environment=own.environment,
        manage_url=own.manage_url,
    )
