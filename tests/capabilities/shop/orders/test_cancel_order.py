"""`POST /api/shop/orders/{id}/cancel`."""

from uuid import uuid4

import pytest

from capabilities.shop.refunds.give_all_back import REFUND_ORDER
from sandbox.stripe_server.protocol.faults import Trouble
from tests.capabilities.shop.orders.buying import ORDERS, Shop


def refunds_enqueued(shop: Shop, order_id: str) -> int:
    jobs = shop.rows("SELECT args FROM procrastinate_jobs WHERE task_name = %s", str(REFUND_ORDER))
    return [row["args"]["order_id"] for row in jobs].count(order_id)


def test_an_unpaid_order_is_cancelled_once(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    order = shop.order(buyer, (tree, 2))
    first, again = shop.cancel(buyer, order, reason="Too late"), shop.cancel(buyer, order, reason="Once more")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.get_json() == again.get_json()
    assert (first.get_json()["status"], first.get_json()["cancel_reason"]) == ("cancelled", "Too late")
    assert first.get_json()["cancelled_at"] is not None
    assert shop.movements(tree) == [("release", 2), ("reserve", -2), ("initial", 3)]
    assert refunds_enqueued(shop, order["id"]) == 0
    shop.assert_books_agree(tree)


def test_an_open_payment_is_cancelled_at_stripe(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    order = shop.order(buyer, (tree, 2))
    shop.begin_payment(buyer, order)
    intent = shop.shown(buyer, order)["stripe_payment_intent_id"]
    assert shop.stripe.books.get("payment_intent", intent)["status"] == "requires_payment_method"
    assert shop.cancel(buyer, order).get_json()["status"] == "cancelled"
    assert shop.stripe.books.get("payment_intent", intent)["status"] == "canceled"
    assert shop.stock(tree) == 3


def test_what_was_paid_at_that_moment_is_confirmed(shop: Shop, buyer: str) -> None:
    """Stripe has the money, and nobody has told us yet. The goods are not for others again."""
    tree = shop.product(stock_quantity=3)
    order = shop.order(buyer, (tree, 2))
    shop.begin_payment(buyer, order)
    shop.pay_at_stripe(buyer, order)
    answer = shop.cancel(buyer, order)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "confirmed")
    assert answer.get_json()["payment_status"] == "paid"
    assert shop.stock(tree) == 1
    assert shop.cancel(buyer, order).get_json()["status"] == "cancelled"
    assert refunds_enqueued(shop, order["id"]) == 1


def test_all_money_of_a_paid_order_goes_back_by_a_job(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    order = shop.paid_order(buyer, (tree, 2))
    assert order["status"] == "confirmed"
    assert {shop.cancel(buyer, order).get_json()["status"] for _ in range(2)} == {"cancelled"}
    assert refunds_enqueued(shop, order["id"]) == 1
    assert shop.stock(tree) == 3
    shop.assert_books_agree(tree)


def test_what_was_shipped_is_not_cancelled(shop: Shop, buyer: str) -> None:
    order = shop.free_order(buyer)
    assert shop.move(order, "shipped").status_code == 200
    for _ in range(2):
        answer = shop.cancel(buyer, order)
        assert (answer.status_code, answer.get_json()["error"]) == (409, "already_shipped")
        shop.move(order, "delivered")


@pytest.mark.slow
def test_while_stripe_is_down_an_order_with_an_open_payment_stays(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    order = shop.order(buyer, (tree, 2))
    shop.begin_payment(buyer, order)
    shop.stripe.faults.add(Trouble.SERVER_ERROR, times=9)
    try:
        answer = shop.cancel(buyer, order)
    finally:
        shop.stripe.faults.clear()
    assert (answer.status_code, answer.get_json()["error"]) == (503, "payments_unavailable")
    assert (shop.shown(buyer, order)["status"], shop.stock(tree)) == ("pending", 1)
    assert shop.cancel(buyer, order).get_json()["status"] == "cancelled"


def test_while_a_bank_decides_the_order_stays(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    order = shop.order(buyer, (tree, 2))
    shop.begin_payment(buyer, order)
    intent = shop.shown(buyer, order)["stripe_payment_intent_id"]
    shop.stripe.books.get("payment_intent", intent)["status"] = "processing"
    answer = shop.cancel(buyer, order)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "payment_processing")
    assert shop.shown(buyer, order)["status"] == "pending"


def test_somebody_elses_order_is_not_found(shop: Shop, buyer: str) -> None:
    order = shop.order(buyer, (shop.product(stock_quantity=3), 1))
    for other in (shop.person(), shop.admin):
        assert shop.cancel(other, order).status_code == 404
    assert shop.cancel(buyer, {"id": str(uuid4())}).status_code == 404
    assert shop.call("POST", f"{ORDERS}/{order['id']}/cancel", json={}).status_code == 401
    assert shop.shown(buyer, order)["status"] == "pending"


@pytest.mark.parametrize("body", [{"reason": ""}, {"reason": 1}, {"reason": "x" * 1001}, {"status": "cancelled"}])
def test_bad_input_changes_nothing(shop: Shop, buyer: str, body: dict[str, object]) -> None:
    order = shop.order(buyer, (shop.product(stock_quantity=3), 1))
    assert shop.cancel(buyer, order, **body).status_code == 422
    assert shop.shown(buyer, order)["status"] == "pending"
