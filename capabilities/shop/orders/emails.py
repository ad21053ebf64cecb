"""E-mails about an order: to its buyer, and to whoever packs."""

from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.models import User
from capabilities.shop.models import Order, OrderItem
from capabilities.shop.money import written
from capabilities.shop.rules import ShopRules

TEMPLATES = "capabilities.shop:"


def tell_confirmed(rules: ShopRules, session: Session, order_id: UUID) -> None:
    """The buyer, and SHOP_NOTIFY_EMAIL."""
    order, told = _told(rules, session, order_id)
    tell_buyer(rules, session, order, "order_confirmed", told)
    if rules.notify_email is not None:
        address = order.ship_to or {}
        names = ("name", "line1", "line2", "postal_code", "city", "region", "country")
        ship_to = [address[name] for name in names if address.get(name)]
        packing = {**told, "ship_to": ship_to, "note": order.note or "", "base_url": rules.mailer.base_url}
        rules.mailer.enqueue(session, f"{TEMPLATES}new_order", rules.notify_email, **packing)


def tell_shipped(rules: ShopRules, session: Session, order_id: UUID) -> None:
    order, told = _told(rules, session, order_id)
    tell_buyer(rules, session, order, "order_shipped", {**told, "tracking": order.tracking or ""})


def tell_buyer(rules: ShopRules, session: Session, order: Order, template: str, values: dict[str, Any]) -> None:
    """Nobody when the account was deleted. `values` besides `number` and `link`."""
    to = session.scalars(select(User.email).where(User.id == order.user_id)).one_or_none()
    if to is not None:
        values = {**values, "number": order.number, "link": order_link(rules.order_url, order.number)}
        rules.mailer.enqueue(session, f"{TEMPLATES}{template}", to, **values)


def order_link(order_url: str | None, number: str) -> str:
    """Empty without SHOP_ORDER_URL."""
    if order_url is None:
        return ""
    joint = "&" if urlsplit(order_url).query else "?"
    return f"{order_url}{joint}{urlencode({'order': number})}"


def _told(rules: ShopRules, session: Session, order_id: UUID) -> tuple[Order, dict[str, Any]]:
    order = session.get_one(Order, order_id, populate_existing=True)
    items = session.scalars(select(OrderItem).where(OrderItem.order_id == order_id).order_by(OrderItem.id))
    lines = [
        f"{item.quantity} x {item.name}: {with_currency(item.quantity * item.unit_price_minor, order.currency)}"
        for item in items
    ]
    return order, {
        "number": order.number,
        "lines": lines,
        "shipping": with_currency(order.shipping_minor, order.currency) if order.shipping_minor else "",
        "total": with_currency(order.total_minor, order.currency),
    }


def with_currency(minor: int, currency: str) -> str:
    """1250 of usd as "12.50 USD"."""
    return f"{written(minor, currency)} {currency.upper()}"
