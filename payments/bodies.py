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
    """In the currency's minor units, before taxes that are added at the checkout."""
    currency: str
    interval: str
    """`month` or `year`."""


class OfferAnswer(AnswerBody):
    provider: Provider
    billing_cycle: BillingCycle
    product_id: str | None
    """Apple's product id, for StoreKit. Null on the web, where tier and cycle are enough."""
    price: PriceAnswer | None
    """What Stripe charges. Null for the App Store, where StoreKit knows the price in the buyer's currency, and while Stripe
    has not told it."""


class PlanAnswer(AnswerBody):
    tier: Tier
    title: str
    predictions_per_day: int | None
    """Null for unlimited."""
    requests_per_minute: int | None
    """Requests of any kind, by session or API key. Null for unlimited."""
    features: list[str]
    """Options that a prediction may ask for, such as `enhanced_grounding`."""
    benefits: list[str]
    """What the plan is sold with, in words for a price list."""
    offers: list[OfferAnswer]
    """How it can be bought; empty for a plan that cannot."""


class PlansAnswer(AnswerBody):
    plans: list[PlanAnswer]


class SubscriptionItem(AnswerBody):
    provider: Provider
    tier: Tier
    status: SubscriptionStatus
    renews_at: datetime | None
    ends_at: datetime | None
    pending_tier: Tier | None
    """The tier from the next renewal on, when it will be another one."""
    environment: str | None
    manage_url: str | None


class SubscriptionAnswer(AnswerBody):
    tier: Tier
    """The tier that counts now."""
    source: Provider | None
    """Where it comes from; null for free."""
    status: SubscriptionStatus | None
    renews_at: datetime | None
    ends_at: datetime | None
    pending_tier: Tier | None
    managed_by: Provider | None
    manage_url: str | None
    """Where it is changed or cancelled."""
    subscriptions: list[SubscriptionItem]
    """Every subscription, so that nobody pays twice without seeing it."""


def plan_answer(plan: PlanOffer, stripe_prices: Mapping[tuple[Tier, BillingCycle], Price]) -> PlanAnswer:
    return PlanAnswer(
        tier=plan.tier,
        title=plan.title,
        predictions_per_day=plan.predictions_per_day,
        requests_per_minute=plan.requests_per_minute,
        features=list(plan.features),
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
