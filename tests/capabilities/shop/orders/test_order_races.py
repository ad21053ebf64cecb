"""Orders at the same time, with real commits."""

from collections import Counter
from contextlib import closing
from functools import partial
from threading import Thread
from time import monotonic, sleep

import psycopg2
import pytest

from tests.capabilities.shop.orders.buying import Shop, at_once


def deadlocks(shop: Shop) -> int:
    (row,) = shop.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(row["deadlocks"])


@pytest.mark.slow
def test_of_fifty_buyers_ten_get_the_last_ten(shop: Shop) -> None:
    tree = shop.product(stock_quantity=10)
    buyers = [shop.person() for _ in range(50)]
    answers = at_once([partial(shop.place, buyer, (tree, 1)) for buyer in buyers])
    assert Counter(answer.status_code for answer in answers) == {201: 10, 409: 40}
    assert {answer.get_json()["error"] for answer in answers if answer.status_code == 409} == {"out_of_stock"}
    assert shop.stock(tree) == 0
    shop.assert_books_agree(tree)


@pytest.mark.slow
def test_orders_of_the_same_products_in_any_order_never_wait_for_each_other(shop: Shop) -> None:
    """Neither while they are placed nor while they are cancelled."""
    products = [shop.product(stock_quantity=1000) for _ in range(3)]
    before, buyers = deadlocks(shop), [shop.person() for _ in range(20)]

    def buy(number: int, buyer: str) -> Counter[int]:
        lines = [(product, 1) for product in (products if number % 2 else products[::-1])]
        seen: Counter[int] = Counter()
        for _ in range(5):
            placed = shop.place(buyer, *lines)
            seen[placed.status_code] += 1
            seen[shop.cancel(buyer, placed.get_json()).status_code] += 1
        return seen

    counted: Counter[int] = Counter()
    for each in at_once([partial(buy, number, buyer) for number, buyer in enumerate(buyers)]):
        counted += each
    assert counted == {201: 100, 200: 100}
    assert deadlocks(shop) == before
    assert [shop.stock(each) for each in products] == [1000] * 3
    shop.assert_books_agree(*products)


def test_a_buyer_with_many_hands_has_no_more_open_orders(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=20)
    answers = at_once([partial(shop.place, buyer, (tree, 1)) for _ in range(10)])
    assert Counter(answer.status_code for answer in answers) == {201: 5, 409: 5}
    assert {answer.get_json()["error"] for answer in answers if answer.status_code == 409} == {"too_many_open_orders"}
    assert shop.stock(tree) == 15


def test_one_key_makes_one_order(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=20)
    answers = at_once([partial(shop.place, buyer, (tree, 1), key="the-same-key-0001") for _ in range(8)])
    assert {answer.status_code for answer in answers} <= {201, 409}
    made = {answer.get_json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert shop.stock(tree) == 19


def test_cancelling_twice_and_expiring_at_once_gives_the_stock_back_once(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=5)
    order = shop.order(buyer, (tree, 3))
    shop.time_is_over(order)
    answers = at_once(
        [partial(shop.cancel, buyer, order)] * 3 + [shop.release_unpaid] * 2 + [partial(shop.move, order, "cancelled")]
    )
    assert {answer.status_code for answer in answers if not isinstance(answer, int)} == {200}
    assert shop.stock(tree) == 5
    assert shop.movements(tree) == [("release", 3), ("reserve", -3), ("initial", 5)]
    shop.assert_books_agree(tree)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ("price_minor = 99", 409, "price_changed"),
        ("stock_quantity = 1", 409, "out_of_stock"),
        ("is_active = false", 404, "product_not_found"),
        ("stock_quantity = 2", 201, None),
        ("name = 'renamed'", 201, None),
    ],
)
def test_what_changes_between_reading_and_taking_is_judged_anew(
    shop: Shop, buyer: str, change: str, status: int, error: str | None
) -> None:
    """The staff's transaction holds the product while the order waits for it."""
    other, tree = shop.product(stock_quantity=9), shop.product(stock_quantity=9)
    answers = []
    with closing(psycopg2.connect(shop.url)) as staff, staff.cursor() as cursor:
        cursor.execute(f"UPDATE shop_products SET {change} WHERE id = %s", [tree["id"]])
        waiting = Thread(target=lambda: answers.append(shop.place(buyer, (other, 1), (tree, 2))))
        waiting.start()
        wait_for_a_lock(shop)
        staff.commit()
        waiting.join()
    (answer,) = answers
    assert (answer.status_code, answer.get_json().get("error")) == (status, error)
    assert shop.stock(other) == (8 if status == 201 else 9)
    if error == "price_changed":
        assert [(each["pointer"], each["price_minor"]) for each in answer.get_json()["errors"]] == [("/items/1", 99)]


def wait_for_a_lock(shop: Shop) -> None:
    until = monotonic() + 10
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not shop.rows(waiting):
        assert monotonic() < until
        sleep(0.005)
