"""Which product of a provider is which tier: read in both directions, from one setting for each provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from auth.tiers import Tier


class BillingCycle(StrEnum):
    MONTHLY = "monthly"
    YEARLY = "yearly"


@dataclass(frozen=True)
class Product:
    """`cycle` is None for a product that is no longer sold: whoever has it keeps the tier."""

    product_id: str
    tier: Tier
    cycle: BillingCycle | None


class ProductTable:
    """Products by id, and the one on sale for a tier and a cycle."""

    def __init__(self, products: tuple[Product, ...] = ()) -> None:
        """Raises ValueError when an id comes twice, or two products are on sale for the same tier and cycle."""
        self._by_id: dict[str, Product] = {}
        on_sale: dict[tuple[Tier, BillingCycle], Product] = {}
        for product in products:
            if product.product_id in self._by_id:
                raise ValueError(f"names {product.product_id} twice")
            self._by_id[product.product_id] = product
            if product.cycle is None:
                continue
            offer = (product.tier, product.cycle)
            if offer in on_sale:
                raise ValueError(
                    f"has two products for {product.tier} {product.cycle}; leave the cycle off the old one"
                )
            on_sale[offer] = product
        self.on_sale: Mapping[tuple[Tier, BillingCycle], Product] = MappingProxyType(on_sale)

    @classmethod
    def read(cls, text: str) -> "ProductTable":
        """`id:tier:cycle, id:tier`. Raises ValueError that says what is wrong."""
        return cls(tuple(read_product(entry.strip()) for entry in text.split(",") if entry.strip()))

    def tier_of(self, product_id: str) -> Tier | None:
        """None for a product that is not ours, or that an operator forgot."""
        product = self._by_id.get(product_id)
        return None if product is None else product.tier

    def __bool__(self) -> bool:
        return bool(self._by_id)


def read_product(entry: str) -> Product:
    parts = entry.split(":")
    paid = {tier.value for tier in Tier if tier is not Tier.FREE}
    cycles = {cycle.value for cycle in BillingCycle}
    if len(parts) not in {2, 3} or not parts[0]:
        raise ValueError("must be product:tier:cycle entries, separated by commas")
    if parts[1] not in paid:
        raise ValueError(f"maps {parts[0]} to a tier that is not one of {', '.join(sorted(paid))}")
    if len(parts) == 3 and parts[2] not in cycles:
        raise ValueError(f"gives {parts[0]} a cycle that is not one of {', '.join(sorted(cycles))}")
    return Product(parts[0], Tier(parts[1]), BillingCycle(parts[2]) if len(parts) == 3 else None)
