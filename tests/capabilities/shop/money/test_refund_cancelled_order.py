"""The job `refund_order`: a cancelled order that was paid."""

import pytest

from payments.stripe.problems import StripeUnavailable
from sandbox.stripe_server.protocol.faults import Trouble
from tests.capabilities.shop.money.till import Placed, Till


def test_all_of_its_money_goes_back_once(till: Till, order: Placed) -> None:
    order.pay().cancel()
    assert (order.status, order.stock) == ("cancelled", [10])
    till.work()
    for _ in range(2):
        till.run_job("refund_order", order_id=order.id)
    till.deliver()

    [refund] = order.refunds
    assert (refund["state"], refund["amount_minor"], refund["reason"]) == ("done", 3000, "The order was cancelled")
    assert (order.given_back(), order.payment_status, order.stock) == (3000, "refunded", [10])


def test_what_was_refunded_before_is_not_given_again(till: Till, order: Placed) -> None:
    order.pay().give_back(1)
    till.stripe.refunds.refund(order.charge, 500)  # and nobody has told us
    order.cancel()
    till.work()

    assert (order.given_back(), order.row["refunded_minor"], order.stock) == (3000, 3000, [10])
    assert sorted(each["amount_minor"] for each in order.refunds) == [500, 1000, 1500]


def test_stripe_is_away(till: Till, order: Placed) -> None:
    order.pay().cancel()
    till.rows("DELETE FROM procrastinate_jobs")
    till.stripe.faults.add(Trouble.RATE_LIMIT, under="/v1/refunds", verb="post")
    with pytest.raises(StripeUnavailable):
        till.run_job("refund_order", order_id=order.id)
    assert (order.given_back(), [each["state"] for each in order.refunds]) == (0, ["requested"])

    till.run_job("refund_order", order_id=order.id)  # its next attempt
    assert (order.given_back(), [each["state"] for each in order.refunds]) == (3000, ["done"])


@pytest.mark.parametrize(("outcome", "back"), [("won", 3000), ("lost", 0)])
def test_while_the_bank_has_it_nothing_goes_back_twice(till: Till, order: Placed, outcome: str, back: int) -> None:
    order.pay()
    dispute = till.stripe.refunds.dispute(order.charge)
    order.cancel()
    till.deliver()
    assert (order.payment_status, order.refunds) == ("disputed", [])

    till.stripe.refunds.close(dispute, outcome)
    if outcome == "won":
        order.charge["disputed"] = False
    till.deliver()
    assert order.given_back() == back


def test_what_the_bank_sends_back_is_not_sent_again(till: Till, order: Placed) -> None:
    order.pay().cancel()
    till.work()
    till.control("fail-refund", refund=order.refunds[0]["stripe_refund_id"])
    till.deliver()

    assert ([each["state"] for each in order.refunds], order.given_back()) == (["failed"], 0)
    assert order.refund(amount="30.00").status_code == 201  # a person tries again
