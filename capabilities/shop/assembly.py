"""The parts of this package, put together for one application."""

from datetime import timedelta

from capabilities.shop.orders.purchase import Orders
from capabilities.shop.rules import ShopRules
from capabilities.shop.settings import ShopSection
from metering.parts import Built, Parts


def build_shop(parts: Parts, settings: ShopSection) -> Built:
    rules = ShopRules(
        clock=parts.auth.clock,
        mailer=parts.auth.mailer,
        payments=parts.payments,
        currency=settings.shop_currency,
        reservation=timedelta(minutes=settings.shop_reservation_minutes),
        max_open_orders=settings.shop_max_open_orders,
        shipping_minor=settings.shop_shipping_minor,
        notify_email=settings.shop_notify_email,
        order_url=settings.shop_order_url,
    )
    return Built(purchases=(Orders(rules),))
