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


def test_the_same_product_on_several_lines_is_added_up_before_the_check(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=10)
    refused = shop.place(buyer, (tree, 6), (tree, 6))
    assert (refused.status_code, refused.get_json()["error"]) == (409, "out_of_stock")
    assert [
        (each["pointer"], each["product_id"], each["requested"], each["available"])
        for each in refused.get_json()["errors"]
    ] == [("/items/0", tree["id"], 12, 10), ("/items/1", tree["id"], 12, 10)]
    assert shop.stock(tree) == 10
    (item,) = shop.order(buyer, (tree, 6), (tree, 4))["items"]
    assert item["quantity"] == 10
    assert shop.stock(tree) == 0


def test_all_lines_that_cannot_be_had_are_told_at_once_and_nothing_is_taken(shop: Shop, buyer: str) -> None:
    tree, pot, tool = (shop.product(stock_quantity=stock) for stock in (1, 2, 3))
    refused = shop.place(buyer, (tree, 2), (pot, 1), (tool, 4))
    assert [(each["product_id"], each["available"]) for each in refused.get_json()["errors"]] == [
        (tree["id"], 1),
        (tool["id"], 3),
    ]
    assert [shop.stock(each) for each in (tree, pot, tool)] == [1, 2, 3]
    assert shop.get(ORDERS, buyer).get_json()["orders"] == []


def test_products_that_are_not_on_sale_are_named(shop: Shop, buyer: str) -> None:
    tree, gone = shop.product(stock_quantity=1), shop.product(stock_quantity=1, is_active=False)
    unknown = {"id": str(uuid4())}
    refused = shop.place(buyer, (tree, 1), (gone, 1), (unknown, 1))
    assert (refused.status_code, refused.get_json()["error"]) == (404, "product_not_found")
    assert {each["product_id"] for each in refused.get_json()["errors"]} == {gone["id"], unknown["id"]}
    assert shop.stock(tree) == 1


def test_two_currencies_are_refused(shop: Shop, buyer: str) -> None:
    dollars, euros = shop.product(stock_quantity=1), shop.product(stock_quantity=1, currency="eur")
    refused = shop.place(buyer, (dollars, 1), (euros, 1))
    assert (refused.status_code, refused.get_json()["error"]) == (409, "currencies_differ")
    assert refused.get_json()["currencies"] == ["eur", "usd"]


def test_what_stripe_does_not_take_in_one_payment_is_refused(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=1000, price_minor=10_000_000, price=None)
    refused = shop.place(buyer, (tree, 10))
    assert (refused.status_code, refused.get_json()["error"]) == (409, "amount_too_large")
    assert shop.stock(tree) == 1000


def test_the_total_that_the_buyer_saw_can_only_refuse(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=9, price="10.00")
    refused = shop.place(buyer, (tree, 2), expected_total="20.00")
    told = refused.get_json()
    assert (refused.status_code, told["error"]) == (409, "price_changed")
    assert (told["total_amount"], told["total_minor"], told["currency"]) == ("25.00", 2500, "usd")
    assert told["prices"] == [{"product_id": tree["id"], "price": "10.00", "price_minor": 1000}]
    assert shop.order(buyer, (tree, 2), expected_total="25.00")["total_minor"] == 2500
    assert shop.stock(tree) == 7


def test_an_order_keeps_the_price_and_the_name_of_its_moment(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=9, price="10.00")
    order = shop.order(buyer, (tree, 1))
    assert shop.put(tree, name="Another", price="99.00").status_code == 200
    (item,) = shop.shown(buyer, order)["items"]
    assert (item["name"], item["unit_price"]) == (tree["name"], "10.00")


def test_what_ships_needs_an_address_and_pays_for_shipping(shop: Shop, buyer: str) -> None:
    tree, voucher = shop.product(stock_quantity=9, price="10.00"), shop.product(stock_quantity=9, ships=False)
    refused = shop.place(buyer, (tree, 1), (voucher, 1), ship_to=None)
    assert refused.status_code == 422
    assert [(each["pointer"], each["code"]) for each in refused.get_json()["errors"]] == [("/ship_to", "missing")]
    order = shop.order(buyer, (voucher, 1), ship_to=None)
    assert (order["ship_to"], order["shipping_minor"], order["total_minor"]) == (None, 0, 1250)


@pytest.mark.parametrize(("currency", "price", "total"), [("jpy", "700", "1900"), ("kwd", "0.700", "1.900")])
def test_amounts_have_the_digits_of_their_currency(
    shop: Shop, buyer: str, currency: str, price: str, total: str
) -> None:
    tree = shop.product(stock_quantity=9, price=price, currency=currency)
    order = shop.order(buyer, (tree, 2), expected_total=total)
    assert (order["total_amount"], order["total_minor"]) == (total, 1900)


def test_an_order_that_costs_nothing_is_confirmed_at_once(shop: Shop, buyer: str) -> None:
    leaflet = shop.product(stock_quantity=3, price="0.00", ships=False)
    order = shop.order(buyer, (leaflet, 1), ship_to=None)
    assert (order["status"], order["payment_status"], order["total_amount"]) == ("confirmed", "paid", "0.00")
    assert order["confirmed_at"] == order["created_at"]
    assert shop.shown(buyer, order) == order
    assert len(shop.emails("order_confirmed", order["number"])) == 1
    events = shop.get(f"{ORDERS}/{order['id']}/events", buyer).get_json()["events"]
    assert [(each["from_status"], each["to_status"]) for each in events] == [
        ("pending", "confirmed"),
        (None, "pending"),
    ]
    assert shop.stock(leaflet) == 2


def test_a_buyer_has_only_so_many_orders_that_are_not_paid(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=9)
    orders = [shop.order(buyer, (tree, 1)) for _ in range(5)]
    refused = shop.place(buyer, (tree, 1))
    assert (refused.status_code, refused.get_json()["error"]) == (409, "too_many_open_orders")
    assert refused.get_json()["limit"] == 5
    assert shop.cancel(buyer, orders[0]).status_code == 200
    assert shop.place(buyer, (tree, 1)).status_code == 201
    assert shop.stock(tree) == 4


def test_a_buyer_places_ten_orders_a_minute(shop: Shop, buyer: str) -> None:
    gone = {"id": str(uuid4())}
    assert {shop.place(buyer, (gone, 1)).status_code for _ in range(10)} == {404}
    refused = shop.place(buyer, (gone, 1))
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) <= 61
    assert "10 orders of one account" in refused.get_json()["detail"]
    assert shop.place(shop.person(), (gone, 1)).status_code == 404


def test_a_key_stands_for_one_order(shop: Shop, buyer: str) -> None:
    tree, key = shop.product(stock_quantity=9), secrets.token_hex(8)
    first, again = (shop.place(buyer, (tree, 1), key=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.get_json() == first.get_json()
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    other = shop.place(buyer, (tree, 2), key=key)
    assert (other.status_code, other.get_json()["error"]) == (422, "idempotency_key_reused")
    assert shop.stock(tree) == 8


def test_a_refusal_frees_the_key(shop: Shop, buyer: str) -> None:
    tree, key = shop.product(stock_quantity=0), secrets.token_hex(8)
    assert shop.place(buyer, (tree, 1), key=key).status_code == 409
    assert shop.put(tree, stock_quantity=1).status_code == 200
    assert shop.place(buyer, (tree, 1), key=key).status_code == 201


ONE: dict[str, Any] = {"product_id": "01900000-0000-7000-8000-000000000001", "quantity": 1}


BAD: list[dict[str, Any]] = [
    *({"items": [{**ONE, "quantity": quantity}]} for quantity in (0, -1, 1.5, 10**9, 1001, "2", None, True)),
    {"items": [{"product_id": ONE["product_id"]}]},
    {"items": [{**ONE, "product_id": "1"}]},
    {"items": [{**ONE, "unit_price_minor": 1}]},
    {"items": []},
    {"items": [ONE] * 101},
    {},
    {"items": [ONE], "total_minor": 1},
    {"items": [ONE], "currency": "usd"},
    {"items": [ONE], "user_id": ONE["product_id"]},
    *({"items": [ONE], "expected_total": total} for total in ("1e3", "-1", "NaN", "", "12,50", 12.5, 1250)),
    {"items": [ONE], "ship_to": {**SHIP_TO, "country": "Narnia"}},
    {"items": [ONE], "ship_to": {**SHIP_TO, "name": " "}},
    {"items": [ONE], "ship_to": {**SHIP_TO, "city": "two\nlines"}},
    {"items": [ONE], "ship_to": {"name": "Alice"}},
    {"items": [ONE], "ship_to": {**SHIP_TO, "planet": "Earth"}},
    {"items": [ONE], "note": ""},
    {"items": [ONE], "note": "x" * 1001},
]


@pytest.mark.parametrize("body", BAD, ids=lambda body: str(body)[:60])
def test_bad_input_is_refused(shop: Shop, impatient: str, body: dict[str, Any]) -> None:
    answer = shop.call("POST", ORDERS, impatient, json=body)
    assert (answer.status_code, answer.get_json()["error"]) == (422, "validation_failed")
    assert answer.get_json()["errors"]


def test_a_bad_line_is_the_only_error(shop: Shop, impatient: str) -> None:
    """And not that the list without it is too short."""
    answer = shop.call("POST", ORDERS, impatient, json={"items": [{**ONE, "quantity": 0}]})
    assert [each["pointer"] for each in answer.get_json()["errors"]] == ["/items/0/quantity"]


def test_an_expected_total_with_more_digits_than_the_currency_has_is_refused(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=1)
    answer = shop.place(buyer, (tree, 1), expected_total="17.505")
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.get_json()["errors"]] == ["/expected_total"]


@pytest.fixture(scope="module")
def impatient(shop: Shop) -> str:
    """What is refused before it is looked at is not counted."""
    return shop.person()


def test_only_who_is_signed_in_orders(shop: Shop) -> None:
    answer = shop.call("POST", ORDERS, json={"items": [ONE]})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_account_that_was_closed_just_now_orders_nothing(shop: Shop, buyer: str) -> None:
    """Its state may be remembered for a moment."""
    tree = shop.product(stock_quantity=1)
    order = shop.order(buyer, (tree, 1))
    shop.cancel(buyer, order)
    shop.rows("UPDATE users SET is_active = false WHERE id = %s", order["user_id"])
    assert shop.place(buyer, (tree, 1)).status_code == 401
    assert shop.stock(tree) == 1


def test_a_number_that_is_taken_is_drawn_again(shop: Shop, buyer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = shop.product(stock_quantity=2)
    taken = shop.order(buyer, (tree, 1))["number"]
    drawn = iter([taken, "0000-0000"])
    monkeypatch.setattr("capabilities.shop.orders.place_order.new_number", lambda: next(drawn))
    assert shop.order(buyer, (tree, 1))["number"] == "0000-0000"
    assert shop.stock(tree) == 0
    shop.assert_books_agree(tree)
