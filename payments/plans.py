"""The plans as they are offered: what each is called, what it may use, and how it is bought."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from auth.tiers import Tier
from payments.bodies import OfferAnswer, PlanAnswer, PriceAnswer
from payments.product_table import BillingCycle, ProductTable
from payments.subscriptions.status import Provider

SWITCHED_OFF = {"per_day": 0}

Prices = Mapping[tuple[Tier, BillingCycle], PriceAnswer]
CallPrices = Callable[[], Mapping[str, Mapping[Tier, int]]]
"""By feature, what a call costs now in each plan, in cents."""


@dataclass(frozen=True)
class PlanOffer:
    """`requests_per_minute` and `account_calls_per_minute` are None for unlimited. `limits`: what of each feature is
    published, by name; None for unlimited.

    `options` are those of requests, `benefits` words for a price list.
    """

    tier: Tier
    title: str
    limits: Mapping[str, Mapping[str, int | None]]
    requests_per_minute: int | None
    account_calls_per_minute: int | None
    options: tuple[str, ...]
    benefits: tuple[str, ...]
    offers: tuple[OfferAnswer, ...] = ()


def on_offer(
    plans: Iterable[PlanOffer], apple_products: ProductTable | None, stripe_prices: ProductTable | None
) -> tuple[PlanOffer, ...]:
    """The plans with the ways to buy each; None for a provider that is not set up."""
    apple = {} if apple_products is None else apple_products.on_sale
    stripe = {} if stripe_prices is None else stripe_prices.on_sale
    offers = [
        *((tier, offer(Provider.APPLE, cycle, product.product_id)) for (tier, cycle), product in apple.items()),
        *((tier, offer(Provider.STRIPE, cycle)) for tier, cycle in stripe),
    ]
    return tuple(replace(plan, offers=tuple(each for tier, each in offers if tier is plan.tier)) for plan in plans)


def offer(provider: Provider, cycle: BillingCycle, product_id: str | None = None) -> OfferAnswer:
    """`product_id` is what an app asks StoreKit for; on the web nobody needs to know it."""
    return OfferAnswer(provider=provider, billing_cycle=cycle, product_id=product_id, price=None)


def plan_answer(plan: PlanOffer, stripe_prices: Prices, call_prices: Mapping[str, Mapping[Tier, int]]) -> PlanAnswer:
    limits = {feature: dict(limits) for feature, limits in plan.limits.items()}
    for feature, cents in call_prices.items():
        limits[feature]["price_cents"] = cents[plan.tier]
    return PlanAnswer(
        tier=plan.tier,
        title=plan.title,
        predictions_per_day=plan.limits.get("predict", SWITCHED_OFF)["per_day"],
        limits=limits,
        requests_per_minute=plan.requests_per_minute,
        account_calls_per_minute=plan.account_calls_per_minute,
        features=list(plan.options),
        benefits=list(plan.benefits),
        offers=[
            (
                each.model_copy(update={"price": stripe_prices.get((plan.tier, each.billing_cycle))})
                if each.provider is Provider.STRIPE
                else each
            )
            for each in plan.offers
        ],
    )
