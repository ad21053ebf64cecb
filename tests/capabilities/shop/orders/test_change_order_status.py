"""`PUT /api/shop/orders/{id}/status`."""

from itertools import product as every
from uuid import uuid4

import pytest

from tests.capabilities.shop.orders.buying import ORDERS, Shop

STATUSES = ("pending", "confirmed", "shipped", "delivered", "cancelled")
ALLOWED = {
    ("pending", "cancelled"): 200,
    ("pending", "confirmed"): "not_paid",
    ("confirmed", "shipped"): 200,
    ("confirmed", "cancelled"): 200,
    ("shipped", "delivered"): 200,
}
BY_STAFF = {
    "pending": ["cancelled"],
    "confirmed": ["cancelled", "shipped"],
    "shipped": ["delivered"],
    "delivered": [],
    "cancelled": [],
}


@pytest.fixture(scope="module")
def orders(shop: Shop) -> dict[str, list[dict[str, object]]]:
    """Five in each status. What costs nothing is paid."""
    tree, leaflet = shop.product(stock_quantity=100), shop.product(stock_quantity=100, price="0", ships=False)
    made: dict[str, list[dict[str, object]]] = {}
    for status in STATUSES:
        buyer = shop.person()
        made[status] = [shop.order(buyer, (tree if status == "pending" else leaflet, 1)) for _ in range(5)]
        for order in made[status]:
            shop.rows("UPDATE shop_orders SET status = %s WHERE id = %s", status, order["id"])
    return made


@pytest.mark.parametrize(("old", "new"), list(every(STATUSES, STATUSES)))
def test_each_move_is_allowed_or_refused(
    shop: Shop, orders: dict[str, list[dict[str, object]]], old: str, new: str
) -> None:
    order = orders[old][STATUSES.index(new)]
    due = 200 if old == new else ALLOWED.get((old, new), "transition_not_allowed")
    answer = shop.move(order, new)
    if due == 200:
        assert (answer.status_code, answer.get_json()["status"]) == (200, new)
    else:
        assert (answer.status_code, answer.get_json()["error"]) == (409, due)
    if due == "transition_not_allowed":
        assert (answer.get_json()["order_status"], answer.get_json()["allowed"]) == (old, BY_STAFF[old])


def test_an_order_goes_all_the_way(shop: Shop, buyer: str) -> None:
    order = shop.free_order(buyer)
    shipped = shop.move(order, "shipped", tracking="JD 014", reason="By hand").get_json()
    assert (shipped["status"], shipped["tracking"]) == ("shipped", "JD 014")
    assert shipped["shipped_at"] is not None
    again = shop.move(order, "shipped", tracking="another").get_json()
    assert again == shipped
    assert len(shop.emails("order_shipped", order["number"])) == 1
    delivered = shop.move(order, "delivered").get_json()
    assert (delivered["status"], delivered["tracking"]) == ("delivered", "JD 014")
    assert delivered["delivered_at"] is not None
    assert shop.shown(buyer, order) == delivered


def test_what_the_bank_took_back_or_we_gave_back_is_not_shipped(shop: Shop, buyer: str) -> None:
    order = shop.paid_order(buyer, (shop.product(stock_quantity=1), 1))
    shop.rows("UPDATE payments SET status = 'disputed' WHERE id = %s", order["payment_id"])
    assert shop.shown(buyer, order)["payment_status"] == "disputed"
    answer = shop.move(order, "shipped")
    assert (answer.status_code, answer.get_json()["error"]) == (409, "payment_disputed")
    given_back = "UPDATE payments SET status = 'refunded', refunded_amount = amount WHERE id = %s"
    shop.rows(given_back, order["payment_id"])
    answer = shop.move(order, "shipped")
    assert (answer.status_code, answer.get_json()["error"]) == (409, "not_paid")
    shop.rows("UPDATE payments SET status = 'succeeded', refunded_amount = 1 WHERE id = %s", order["payment_id"])
    assert shop.move(order, "shipped").get_json()["payment_status"] == "partly_refunded"


def test_staff_cancel_with_the_stock(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=1, price="0", ships=False)
    order = shop.order(buyer, (tree, 1))
    answer = shop.move(order, "cancelled", reason="It broke")
    assert (answer.get_json()["status"], answer.get_json()["cancel_reason"]) == ("cancelled", None)
    assert shop.stock(tree) == 1
    shop.assert_books_agree(tree)


@pytest.mark.parametrize("body", [{"status": "paid"}, {"status": "Shipped"}, {}, {"status": "shipped", "total": 1}])
def test_bad_input_is_refused(shop: Shop, body: dict[str, object]) -> None:
    answer = shop.call("PUT", f"{ORDERS}/{uuid4()}/status", shop.admin, json=body)
    assert (answer.status_code, answer.get_json()["error"]) == (422, "validation_failed")


def test_only_admins_move_orders(shop: Shop, buyer: str) -> None:
    order = shop.order(buyer, (shop.product(stock_quantity=1), 1))
    path, body = f"{ORDERS}/{order['id']}/status", {"status": "cancelled"}
    for token in (buyer, shop.support):
        answer = shop.call("PUT", path, token, json=body)
        assert (answer.status_code, answer.get_json()["error"]) == (403, "insufficient_role")
    assert shop.call("PUT", path, json=body).status_code == 401
    assert shop.move({"id": str(uuid4())}, "cancelled").status_code == 404
