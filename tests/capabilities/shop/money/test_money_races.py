"""Paying, cancelling and refunding at the same time: the goods are sold and paid, or neither, and money goes back once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.capabilities.shop.money.till import GOOD, Placed, Till

pytestmark = pytest.mark.slow
ROUNDS = range(4)


def at_once(*calls: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(calls)) as threads:
        for running in [threads.submit(call) for call in calls]:
            running.result()


def try_to_cancel(order: Placed) -> None:
    path = f"/api/shop/orders/{order.id}/cancel"
    assert order.till.call("POST", path, order.till.alice, json={}).status_code in {200, 409}


def try_to_confirm(order: Placed) -> None:
    assert order.confirm(GOOD).status_code in {200, 409}


@pytest.mark.parametrize("_", ROUNDS)
def test_paying_and_cancelling(till: Till, order: Placed, _: int) -> None:
    order.begin()
    at_once(lambda: try_to_confirm(order), lambda: try_to_cancel(order), lambda: till.run_job("release_reservations"))
    till.deliver(times=2)

    received = order.intent["amount_received"]
    if order.status == "confirmed":
        assert (received, order.given_back(), order.stock, order.payment_status) == (3000, 0, [7], "paid")
    else:
        assert (order.status, order.given_back(), order.stock) == ("cancelled", received, [10])


@pytest.mark.parametrize("_", ROUNDS)
def test_refunding_and_cancelling(till: Till, order: Placed, _: int) -> None:
    order.pay()
    till.treasurer  # noqa: B018
    at_once(lambda: order.give_back(1), lambda: try_to_cancel(order), lambda: order.give_back(2))
    till.work()
    till.deliver(times=2)

    assert (order.status, order.given_back(), order.row["refunded_minor"]) == ("cancelled", 3000, 3000)
    assert (order.stock, {each["state"] for each in order.refunds}) == ([10], {"done"})


@pytest.mark.parametrize("_", ROUNDS)
def test_the_same_refund_by_its_request_its_job_and_its_event(till: Till, order: Placed, _: int) -> None:
    order.pay()
    till.deliver()
    key = f"race-{order.id}"
    at_once(
        lambda: order.give_back(2, key=key),
        lambda: order.give_back(2, key=key),
        lambda: till.run_job(
            "refund_order", order_id=order.id
        ),  # it is not cancelled, so this finishes what is requested
    )
    till.deliver(times=2)

    assert (order.given_back(), order.stock, [each["state"] for each in order.refunds]) == (2000, [9], ["done"])
