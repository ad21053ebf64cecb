"""The entries of the dashboard's navigation."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Engine

from auth.page_sessions.pages import Subject
from capabilities.shop.admin_pages.orders.routes import order_pages, shipping_pages
from capabilities.shop.admin_pages.products.routes import product_pages
from capabilities.shop.admin_pages.refunds.routes import refund_pages
from capabilities.shop.rules import ShopRules


def shop_pages(rules: ShopRules, engine: Engine) -> Sequence[Subject]:
    return (
        Subject("shipping", "Orders to ship", shipping_pages),
        Subject("orders", "Orders", partial(order_pages, rules)),
        Subject("refunds", "Refunds", refund_pages),
        Subject("products", "Products", partial(product_pages, rules, engine)),
    )
