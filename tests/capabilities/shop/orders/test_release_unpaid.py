"""The job `release_unpaid_orders`."""

from collections.abc import Iterator

import pytest

from capabilities.shop.orders import jobs
from payments.stripe.problems import StripeUnavailable
from sandbox.stripe_server.protocol.faults import Trouble
from tests.capabilities.shop.orders.buying import Shop


@pytest.fixture(autouse=True)
def _only_own(shop: Shop) -> Iterator[None]:
    """What others left behind is not due."""
    shop.rows("UPDATE shop_orders SET reserved_until = now() + interval '1 day' WHERE status = 'pending'")
    yield
    shop.stripe.faults.clear()


def test_an_order_that_nobody_paid_gives_back_what_it_holds_once(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    late, waiting = shop.order(buyer, (tree, 2)), shop.order(buyer, (tree, 1))
    shop.time_is_over(late)
    assert [shop.release_unpaid() for _ in range(2)] == [1, 0]
    shown = shop.shown(buyer, late)
    assert (shown["status"], shown["cancel_reason"]) == ("cancelled", "It was not paid in time")
    assert shop.shown(buyer, waiting)["status"] == "pending"
    assert shop.stock(tree) == 2
    assert shop.cancel(buyer, late).status_code == 200
    shop.assert_books_agree(tree)


def test_its_open_payment_is_cancelled_first(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    order = shop.order(buyer, (tree, 2))
    payment = shop.begin_payment(buyer, order)
    shop.time_is_over(order)
    assert shop.release_unpaid() == 1
    intent = shop.shown(buyer, order)["stripe_payment_intent_id"]
    assert shop.stripe.books.get("payment_intent", intent)["status"] == "canceled"
    paid = {"payment_id": payment, "payment_method": "pm_card_visa"}
    answer = shop.call("POST", "/api/payments/stripe/confirm", buyer, json=paid)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "payment_closed")
    assert shop.stock(tree) == 3


def test_what_was_paid_at_the_last_moment_is_confirmed(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    order = shop.order(buyer, (tree, 2))
    shop.begin_payment(buyer, order)
    shop.pay_at_stripe(buyer, order)
    shop.time_is_over(order)
    assert shop.release_unpaid() == 0
    assert shop.shown(buyer, order)["status"] == "confirmed"
    assert shop.stock(tree) == 1


def test_an_order_waits_while_a_bank_decides(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    order = shop.order(buyer, (tree, 2))
    payment = shop.begin_payment(buyer, order)
    shop.stripe.books.get("payment_intent", shop.shown(buyer, order)["stripe_payment_intent_id"])[
        "status"
    ] = "processing"
    shop.time_is_over(order)
    assert shop.release_unpaid() == 0
    shop.rows("UPDATE payments SET status = 'processing' WHERE id = %s", payment)
    assert shop.release_unpaid() == 0
    assert shop.shown(buyer, order)["status"] == "pending"


def test_stripe_in_trouble_ends_the_turn_and_holds_up_no_order_without_a_payment(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    begun, alone = shop.order(buyer, (tree, 1)), shop.order(buyer, (tree, 1))
    shop.begin_payment(buyer, begun)
    for order in (begun, alone):
        shop.time_is_over(order)
    shop.stripe.faults.add(Trouble.RATE_LIMIT, times=9)
    with pytest.raises(StripeUnavailable):
        shop.release_unpaid()
    assert [shop.shown(buyer, order)["status"] for order in (begun, alone)] == ["pending", "cancelled"]
    shop.stripe.faults.clear()
    assert shop.release_unpaid() == 1


def test_an_order_that_cannot_be_released_holds_up_nobody(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=3)
    bad, good = shop.order(buyer, (tree, 1)), shop.order(buyer, (tree, 1))
    for order in (bad, good):
        shop.time_is_over(order)
    shop.rows(
        "CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
        f" CREATE TRIGGER refuse_it BEFORE UPDATE ON shop_orders FOR EACH ROW WHEN (OLD.id = '{bad['id']}')"
        " EXECUTE FUNCTION refuse_it()"
    )
    try:
        assert shop.release_unpaid() == 1
        assert shop.release_unpaid() == 0
        assert [shop.shown(buyer, order)["status"] for order in (bad, good)] == ["pending", "cancelled"]
        (row,) = shop.rows("SELECT batch, times FROM passed_over_items WHERE item = %s", bad["id"])
        assert (row["batch"], row["times"]) == ("release_unpaid_orders", 1)
    finally:
        shop.rows("DROP TRIGGER refuse_it ON shop_orders; DROP FUNCTION refuse_it()")


def test_a_turn_takes_a_portion(shop: Shop, buyer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = shop.product(stock_quantity=3)
    for _ in range(3):
        shop.time_is_over(shop.order(buyer, (tree, 1)))
    monkeypatch.setattr(jobs, "PORTION", 2)
    assert [shop.release_unpaid() for _ in range(3)] == [2, 1, 0]
    assert shop.stock(tree) == 3


def test_it_runs_every_minute(shop: Shop) -> None:
    assert shop.made.jobs.declared[jobs.RELEASE].cron == "* * * * *"
