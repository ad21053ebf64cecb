"""The prices of a developer's machine: one product a paid tier, each by the month and by the year."""

from typing import TYPE_CHECKING

from sandbox.stripe_server.products.catalogue import MONTHLY, YEARLY

if TYPE_CHECKING:
    from sandbox.stripe_server.server import StripeServer

DEVELOPMENT_PRICES = {
    ("plus", "monthly"): ("price_plus_monthly", 900),
    ("plus", "yearly"): ("price_plus_yearly", 9_000),
    ("pro", "monthly"): ("price_pro_monthly", 1_900),
    ("pro", "yearly"): ("price_pro_yearly", 19_000),
    ("team", "monthly"): ("price_team_monthly", 4_900),
    ("team", "yearly"): ("price_team_yearly", 49_000),
    ("enterprise", "monthly"): ("price_enterprise_monthly", 9_900),
    ("enterprise", "yearly"): ("price_enterprise_yearly", 99_000),
}
"""(tier, billing cycle) to the price's id and its amount in US cents."""

PRICES_SETTING = ",".join(f"{price_id}:{tier}:{cycle}" for (tier, cycle), (price_id, _) in DEVELOPMENT_PRICES.items())
"""The same as the setting STRIPE_PRICES."""


def add_development_prices(server: "StripeServer") -> None:
    """Those that the books do not hold yet."""
    for (tier, cycle), (price_id, amount) in DEVELOPMENT_PRICES.items():
        product = f"prod_{tier}"
        if product not in server.books.objects:
            server.catalogue.add_product(product, tier.capitalize())
        if price_id not in server.books.objects:
            interval = MONTHLY if cycle == "monthly" else YEARLY
            lookup_key = f"{tier}_{cycle}"
            server.catalogue.add_price(product, amount, "usd", interval, price_id=price_id, lookup_key=lookup_key)
