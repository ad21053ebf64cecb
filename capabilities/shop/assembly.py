"""The parts of this package, put together for one application."""

from datetime import timedelta
from functools import partial

from capabilities.shop.admin_pages.subjects import shop_pages
from capabilities.shop.metrics import SHOP_FIGURES
from capabilities.shop.orders.jobs import order_jobs
from capabilities.shop.orders.purchase import Orders
from capabilities.shop.orders.routes import order_routes
from capabilities.shop.products.commands import shop_commands
from capabilities.shop.products.demo_products import create_demo_products
from capabilities.shop.products.jobs import product_jobs
from capabilities.shop.products.metrics import STOCK_DRIFT
from capabilities.shop.products.routes import product_routes
from capabilities.shop.refunds.jobs import refund_jobs
from capabilities.shop.refunds.routes import refund_routes
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
    return Built(
        routes=(
            product_routes(parts.auth, rules, parts.engine),
            order_routes(parts.auth, rules),
            refund_routes(parts.auth, rules),
        ),
        jobs=(*product_jobs(parts.auth.clock), *order_jobs(rules), *refund_jobs(rules)),
        commands=(shop_commands(rules),),
        figures=(STOCK_DRIFT, *SHOP_FIGURES),
        admin_pages=shop_pages(rules, parts.engine),
        purchases=(Orders(rules),),
        demo=partial(create_demo_products, rules),
    )
