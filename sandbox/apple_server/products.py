"""What the app sells: auto-renewable subscriptions in groups, as they are set up in App Store Connect."""

import calendar
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Product:
    """`level` 1 is the highest of its group: moving to a smaller number is an upgrade. `price` is in milliunits."""

    product_id: str
    group: str
    level: int
    months: int
    price: int
    currency: str = "USD"

    def ends(self, begins: datetime) -> datetime:
        """When a period that begins then ends: the same day of a later month, or that month's last day."""
        years, month = divmod(begins.month - 1 + self.months, 12)
        year, month = begins.year + years, month + 1
        return begins.replace(year=year, month=month, day=min(begins.day, calendar.monthrange(year, month)[1]))


GROUP, SECOND_GROUP = "21500000", "21500001"

PRODUCTS = (
    Product("com.mirroros.plus.monthly", GROUP, level=4, months=1, price=4_990),
    Product("com.mirroros.plus.yearly", GROUP, level=4, months=12, price=49_990),
    Product("com.mirroros.pro.monthly", GROUP, level=3, months=1, price=9_990),
    Product("com.mirroros.pro.yearly", GROUP, level=3, months=12, price=99_990),
    Product("com.mirroros.team.monthly", GROUP, level=2, months=1, price=24_990),
    Product("com.mirroros.team.yearly", GROUP, level=2, months=12, price=249_990),
    Product("com.mirroros.enterprise.monthly", GROUP, level=1, months=1, price=49_990),
    Product("com.mirroros.enterprise.yearly", GROUP, level=1, months=12, price=499_990),
    Product("com.mirroros.studio.monthly", SECOND_GROUP, level=1, months=1, price=29_990),
)
"""A catalogue to start with: a customer can have one of each group at a time. Hand `AppleServer` another one to test other
names or prices."""

PRODUCTS_SETTING = ",".join(
    ":".join((product.product_id, *product.product_id.split(".")[-2:]))
    for product in PRODUCTS
    if product.group == GROUP
)
"""Those that a plan is sold as, in the form of the setting APPLE_PRODUCTS: `com.mirroros.pro.monthly:pro:monthly`."""
