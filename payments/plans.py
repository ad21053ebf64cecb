"""The plans as they are offered: what each is called, what it may use, and how it is bought."""

from dataclasses import dataclass

from auth.tiers import Tier
from payments.product_table import BillingCycle
from payments.subscription_status import Provider


@dataclass(frozen=True)
class Offer:
    """One way to buy a plan. `product_id` is what an app asks StoreKit for; on the web nobody needs to know it."""

    provider: Provider
    billing_cycle: BillingCycle
    product_id: str | None = None


@dataclass(frozen=True)
class PlanOffer:
    """`predictions_per_day` and `requests_per_minute` are None for unlimited.

    `features` are options of requests, `benefits` words for a price list.
    """

    tier: Tier
    title: str
    predictions_per_day: int | None
    requests_per_minute: int | None
    features: tuple[str, ...]
    benefits: tuple[str, ...]
    offers: tuple[Offer, ...] = ()
