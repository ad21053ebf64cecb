"""The plans as they are offered: what each is called, what it may use, and how it is bought."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from auth.tiers import Tier
from payments.product_table import BillingCycle, ProductTable
from payments.subscriptions.status import Provider


@dataclass(frozen=True)
class Price:
    """`amount` in the currency's minor units, for each `interval`: `month` or `year`."""

    amount: int
    currency: str
    interval: str


@dataclass(frozen=True)
class Offer:
    """One way to buy a plan. `product_id` is what an app asks StoreKit for; on the web nobody needs to know it."""

    provider: Provider
    billing_cycle: BillingCycle
    product_id: str | None = None


@dataclass(frozen=True)
class PlanOffer:
    """`requests_per_minute` is None for unlimited. `limits`: what of each feature is published, by name; None for unlimited.

    `options` are those of requests, `benefits` words for a price list.
    """

    tier: Tier
    title: str
    limits: Mapping[str, Mapping[str, int | None]]
    requests_per_minute: int | None
    options: tuple[str, ...]
    benefits: tuple[str, ...]
    offers: tuple[Offer, ...] = ()


def on_offer(
    plans: Iterable[PlanOffer], apple_products: ProductTable | None, stripe_prices: ProductTable | None
) -> tuple[PlanOffer, ...]:
    """The plans with the ways to buy each; None for a provider that is not set up."""
    apple = {} if apple_products is None else apple_products.on_sale
    stripe = {} if stripe_prices is None else stripe_prices.on_sale
    offers = [
        *((tier, Offer(Provider.APPLE, cycle, product.product_id)) for (tier, cycle), product in apple.items()),
        *((tier, Offer(Provider.STRIPE, cycle)) for tier, cycle in stripe),
    ]
    return tuple(replace(plan, offers=tuple(offer for tier, offer in offers if tier is plan.tier)) for plan in plans)
