"""A shop: products with a stock, orders that are paid with a card, shipped, cancelled and refunded."""

from typing import TYPE_CHECKING, Final

from auth.tiers import Tier
from capabilities.shop.settings import ShopSection
from metering.capability import Capability

if TYPE_CHECKING:
    from auth.personal_data import PersonalData
    from metering.parts import Built, Parts

ORDERS_SCOPE: Final = "orders"


def _build(parts: "Parts", settings: ShopSection) -> "Built":
    from capabilities.shop.assembly import build_shop  # noqa: PLC0415 - nothing of it is loaded while it is off

    return build_shop(parts, settings)


def _personal_data() -> "PersonalData":
    from capabilities.shop.personal_data import SHOP_DATA  # noqa: PLC0415 - the first export or purge loads it

    return SHOP_DATA


SHOP = Capability(
    name="shop",
    title="Products and orders.",
    settings=ShopSection,
    scopes={ORDERS_SCOPE: "Place orders and read your own."},
    limits={tier: {} for tier in Tier},
    models="capabilities.shop.models",
    personal_data=_personal_data,
    build=_build,
)
