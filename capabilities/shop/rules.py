"""What every command of the shop works with."""

from dataclasses import dataclass
from datetime import timedelta

from auth.mail.messages import Mailer
from database.base import Clock
from metering.purchase import OneOffPayments


@dataclass(frozen=True)
class ShopRules:
    """`reservation`: how long an order that is not paid holds its goods. `shipping_minor`: what an order that ships pays for it."""

    clock: Clock
    mailer: Mailer
    payments: OneOffPayments
    currency: str
    reservation: timedelta
    max_open_orders: int
    shipping_minor: int
    notify_email: str | None
    order_url: str | None
