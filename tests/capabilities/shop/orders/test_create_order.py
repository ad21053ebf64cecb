"""`POST /api/shop/orders`."""

import re
import secrets
from typing import Any
from uuid import uuid4

import pytest

from tests.capabilities.shop.orders.buying import ORDERS, SHIP_TO, Shop


def test_an_order_takes_its_goods_and_waits_for_payment(shop: Shop, buyer: str) -> None:
    tree, pot = shop.product(stock_quantity=10, price="12.50"), shop.product(stock_quantity=5, price="3.00")
    answer = shop.place(buyer, (tree, 2), (pot, 1), note="Ring twice")
    order = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{ORDERS}/{order['id']}"
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", order["number"])
    assert (order["status"], order["payment_status"]) == ("pending", "unpaid")
    assert (order["total_amount"], order["total_minor"], order["shipping_minor"]) == ("33.00", 3300, 500)
    assert [(item["name"], item["unit_price"], item["quantity"]) for item in order["items"]] == [
        (tree["name"], "12.50", 2),
        (pot["name"], "3.00", 1),
    ]
    assert order["ship_to"] == {"line2": None, "region": None, **SHIP_TO}
    assert order["note"] == "Ring twice"
    assert (shop.stock(tree), shop.stock(pot)) == (8, 4)
    assert shop.movements(tree) == [("reserve", -2), ("initial", 10)]
    assert shop.shown(buyer, order) == order
