"""E-mails about orders: to the buyer, and to SHOP_NOTIFY_EMAIL."""

from email.message import EmailMessage
from typing import Any

import pytest

from capabilities.shop.orders.emails import order_link
from tests.capabilities.shop.orders.buying import SHIP_TO, Shop

EVIL = "<b>Bonsai</b>"


def written(shop: Shop, job: dict[str, Any]) -> tuple[str, str, str]:
    """Subject, text and HTML of what the worker sends."""
    mailer = shop.made.auth.mailer
    message = mailer.write(job["message_id"], job["template"], job["to"], job["values"], mailer.clock())
    text, html = message.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    return message["Subject"], text.get_content(), html.get_content()


def test_a_paid_order_is_told_once(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3, name=EVIL, price="12.50")
    address = {**SHIP_TO, "name": "<i>Alice</i>"}
    order = shop.paid_order(buyer, (tree, 2), ship_to=address, note="<u>Ring</u>\nBcc: all")
    (own,) = shop.emails("order_confirmed", order["number"])
    (email,) = shop.rows("SELECT email FROM users WHERE id = %s", order["user_id"])
    assert own["to"] == email["email"]
    subject, text, html = written(shop, own)
    assert subject == f"Your order {order['number']} is confirmed"
    link = f"https://shop.example.com/orders?order={order['number']}"
    for part in ("2 x <b>Bonsai</b>: 25.00 USD", "Shipping: 5.00 USD", "Total: 30.00 USD", link):
        assert part in text
    assert "2 x &lt;b&gt;Bonsai&lt;/b&gt;: 25.00 USD" in html
    assert f'href="{link}"' in html
    assert "<b>" not in html

    (notice,) = shop.emails("new_order", order["number"])
    assert notice["to"] == "sales@example.com"
    subject, text, html = written(shop, notice)
    assert subject == f"New order {order['number']}: 30.00 USD"
    assert "1 Sample Street" in text
    assert "<u>Ring</u> Bcc: all" in text
    assert "&lt;i&gt;Alice&lt;/i&gt;" in html
    assert "<i>" not in html
    assert "<u>" not in html


def test_a_shipped_order_is_told_with_its_tracking(shop: Shop, buyer: str) -> None:
    order = shop.free_order(buyer)
    shop.move(order, "shipped", tracking="JD <014>")
    (own,) = shop.emails("order_shipped", order["number"])
    subject, text, html = written(shop, own)
    assert subject == f"Your order {order['number']} is on its way"
    assert "Tracking: JD <014>" in text
    assert "JD &lt;014&gt;" in html


@pytest.mark.parametrize(
    ("order_url", "link"),
    [
        (None, ""),
        ("https://shop.example.com/o", "https://shop.example.com/o?order=B7Q2-M4XK"),
        ("https://shop.example.com/?page=order", "https://shop.example.com/?page=order&order=B7Q2-M4XK"),
    ],
)
def test_the_link_leads_to_the_shop(order_url: str | None, link: str) -> None:
    assert order_link(order_url, "B7Q2-M4XK") == link


@pytest.mark.parametrize("template", ["order_confirmed", "order_shipped", "new_order"])
def test_what_an_order_does_not_have_is_left_out(shop: Shop, template: str) -> None:
    bare = {"number": "B7Q2-M4XK", "lines": ["1 x Bonsai: 1.00 USD"], "total": "1.00 USD"}
    absent = {
        "shipping": "",
        "link": "",
        "tracking": "",
        "ship_to": [],
        "note": "",
        "base_url": "https://api.example.com",
    }
    job = {"message_id": "x", "template": f"capabilities.shop:{template}", "to": "a@example.com"}
    _, text, html = written(shop, {**job, "values": {**bare, **absent}})
    for word in ("Shipping", "Tracking", "Ship to", "Note", "See your order"):
        assert word not in text + html
    assert "\n\n\n" not in text


def test_nothing_is_told_of_an_order_that_is_not_paid(shop: Shop, buyer: str) -> None:
    order = shop.order(buyer, (shop.product(stock_quantity=3), 1))
    shop.cancel(buyer, order)
    jobs = shop.rows("SELECT args FROM procrastinate_jobs WHERE task_name = 'send_email'")
    assert [job for job in jobs if order["number"] in str(job["args"])] == []
