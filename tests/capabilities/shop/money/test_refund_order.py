"""POST /api/shop/orders/{id}/refunds"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from admin.assembled import ASSEMBLED
from database.base import utc_now
from sandbox.stripe_server.protocol.faults import Trouble
from tests.capabilities.shop.money.till import Placed, Till

REFUNDS = "/v1/refunds"


@pytest.fixture
def paid(order: Placed) -> Placed:
    return order.pay()


def line(order: Placed) -> dict[str, Any]:
    return order.till.rows("SELECT * FROM shop_order_items WHERE id = %s", order.items[0])[0]


def test_one_of_three_with_its_goods(till: Till, paid: Placed) -> None:
    first = paid.give_back(1, key="r-1-" + paid.id)
    body = first.get_json()
    assert first.status_code == 201, first.text
    assert (body["state"], body["amount"], body["amount_minor"], body["currency"]) == ("done", "10.00", 1000, "usd")
    assert body["items"] == [{"order_item_id": paid.items[0], "quantity": 1, "restock": True}]
    assert (paid.stock, paid.given_back(), paid.row["refunded_minor"], line(paid)["refunded_quantity"]) == (
        [8],
        1000,
        1000,
        1,
    )
    assert (paid.status, paid.payment_status) == ("confirmed", "partly_refunded")

    again = paid.give_back(1, key="r-1-" + paid.id)
    assert (again.status_code, again.get_json(), again.headers["Idempotency-Replayed"]) == (201, body, "true")
    till.deliver(times=2)
    assert (paid.stock, paid.given_back(), len(paid.refunds)) == ([8], 1000, 1)

    too_many = paid.give_back(4)
    assert (too_many.status_code, too_many.get_json()["error"]) == (409, "refund_too_large")
    assert too_many.get_json()["refundable_quantity"] == 2
    assert (paid.stock, paid.given_back()) == ([8], 1000)


def test_the_buyer_is_told_once(till: Till, paid: Placed) -> None:
    till.rows("DELETE FROM procrastinate_jobs")
    paid.give_back(1, restock=False)
    till.deliver(times=2)

    [mail] = till.rows("SELECT args FROM procrastinate_jobs WHERE task_name = 'send_email'")
    mailer = till.app.extensions[ASSEMBLED].auth.mailer
    message = mailer.write(*(mail["args"][name] for name in ("message_id", "template", "to", "values")), utc_now())
    assert message["Subject"] == f"Refund for order {paid.row['number']}"
    assert all("10.00 USD" in part.get_content() for part in message.iter_parts())
    assert paid.stock == [7]


def test_an_amount_and_then_all_that_is_left(till: Till, paid: Placed) -> None:
    assert paid.refund(amount="12.50").get_json()["amount_minor"] == 1250
    too_much = paid.refund(amount="17.51")
    assert (too_much.status_code, too_much.get_json()["refundable_amount"]) == (409, "17.50")
    assert paid.refund(amount="17.50").status_code == 201

    nothing = paid.refund(amount="0.01")
    assert (nothing.status_code, nothing.get_json()["error"]) == (409, "nothing_to_refund")
    assert (paid.payment_status, paid.given_back(), paid.stock) == ("refunded", 3000, [7])


def test_shipping_is_refunded_as_an_amount(till: Till) -> None:
    paid = till.order(2, shipping=500).pay()
    assert paid.give_back(2).get_json()["amount_minor"] == 2000
    assert paid.refund(amount="5.00").status_code == 201
    assert (paid.payment_status, paid.stock) == ("refunded", [10])


def test_stripe_knows_it_by_our_key(till: Till, paid: Placed) -> None:
    made = paid.give_back(1).get_json()
    [asked] = [each for each in till.stripe.seen if each.idempotency_key == f"refund:{made['id']}"]
    assert (asked.path, asked.params["amount"]) == (REFUNDS, 1000)
    assert till.stripe.books.get("refund", made["stripe_refund_id"])["metadata"] == {"key": f"refund:{made['id']}"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/items"),
        ({"items": []}, "/items"),
        ({"amount": "1.00", "items": []}, ""),
        ({"amount": "12.505"}, "/amount"),
        ({"amount": "-1"}, "/amount"),
        ({"amount": "1e3"}, "/amount"),
        ({"amount": "NaN"}, "/amount"),
        ({"amount": ""}, "/amount"),
        ({"amount": "0.00"}, "/amount"),
        ({"amount": 1}, "/amount"),
        ({"amount": "1.00", "reason": ""}, "/reason"),
        ({"amount": "1.00", "currency": "eur"}, "/currency"),
        ({"items": [{"order_item_id": str(uuid4()), "quantity": 1, "restock": True}]}, "/items/0/order_item_id"),
        ({"items": [{"order_item_id": str(uuid4()), "quantity": 0, "restock": True}]}, "/items/0/quantity"),
        ({"items": [{"order_item_id": str(uuid4()), "quantity": 1}]}, "/items/0/restock"),
    ],
)
def test_bad_input(till_order: Placed, body: dict[str, Any], pointer: str) -> None:
    answer = till_order.refund(**body)
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, pointer), answer.text
    assert till_order.refunds == []


def test_an_item_is_named_once(till_order: Placed) -> None:
    item = {"order_item_id": till_order.items[0], "quantity": 1, "restock": True}
    answer = till_order.refund(items=[item, item])
    [error] = answer.get_json()["errors"]
    assert (error["pointer"], error["message"]) == ("/items/1/order_item_id", "Send each item only once")
    assert till_order.refunds == []


@pytest.fixture(scope="session")
def till_order(till_of_session: Till) -> Placed:
    """It stays as it is."""
    return till_of_session.order(3).pay()


def test_one_line_stands_there_once(till_order: Placed) -> None:
    item = {"order_item_id": till_order.items[0], "quantity": 1, "restock": False}
    assert till_order.refund(items=[item, item]).get_json()["errors"][0]["pointer"] == "/items/1/order_item_id"


def test_without_a_key(till_order: Placed) -> None:
    answer = till_order.refund(None, amount="1.00")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "idempotency_key_required")


def test_the_document_asks_for_the_key(till: Till) -> None:
    path = till.get("/openapi.json").get_json()["paths"]["/api/shop/orders/{order_id}/refunds"]["post"]
    [key] = [each for each in path["parameters"] if each["name"] == "Idempotency-Key"]
    assert key["required"] is True
    assert {"400", "401", "403", "404", "409", "502", "503"} <= path["responses"].keys()


def test_the_key_of_another_request(till_order: Placed, paid: Placed) -> None:
    key = str(uuid4())
    assert paid.refund(key, amount="1.00").status_code == 201
    for answer in (paid.refund(key, amount="2.00"), till_order.refund(key, amount="1.00")):
        assert (answer.status_code, answer.get_json()["error"]) == (422, "idempotency_key_reused")


def test_who_may_not(till: Till, till_order: Placed) -> None:
    assert till_order.refund(amount="1.00", token=till.alice).get_json()["error"] == "insufficient_role"
    assert till_order.refund(amount="1.00", token=till.support).status_code == 403
    path = f"/api/shop/orders/{till_order.id}/refunds"
    nobody = till.call("POST", path, json={"amount": "1.00", "reason": "x"}, headers={"Idempotency-Key": "k"})
    assert (nobody.status_code, "WWW-Authenticate" in nobody.headers) == (401, True)
    unknown = Placed(till, str(uuid4()), [], [])
    assert unknown.refund(amount="1.00").status_code == 404


def test_an_old_proof_is_not_enough(till: Till, till_order: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    token = till.treasurer
    monkeypatch.setattr("auth.middleware.FRESH_SECONDS", -1)
    answer = till_order.refund(amount="1.00", token=token)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "insufficient_user_authentication")


def test_nothing_was_paid(till: Till, order: Placed) -> None:
    answer = order.give_back(1)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "nothing_to_refund")
    assert (answer.get_json()["payment_status"], order.refunds) == ("unpaid", [])


def test_the_bank_has_the_money(till: Till, paid: Placed) -> None:
    """Whether we know of the dispute already or not."""
    till.stripe.refunds.dispute(paid.charge)
    for _ in range(2):
        answer = paid.give_back(1)
        assert (answer.status_code, answer.get_json()["error"]) == (409, "payment_disputed")
    assert [each["state"] for each in paid.refunds] == ["failed"]
    assert (paid.row["refunded_minor"], line(paid)["refunded_quantity"], paid.stock) == (0, 0, [7])


def test_two_at_once_give_back_no_more_than_was_paid(till: Till, paid: Placed) -> None:
    till.treasurer  # noqa: B018
    with ThreadPoolExecutor(4) as threads:
        statuses = sorted(threads.map(lambda _: paid.give_back(2).status_code, range(4)))
    assert statuses == [201, 409, 409, 409]
    assert (paid.given_back(), paid.stock) == (2000, [9])


def test_a_double_click_is_one_refund(till: Till, paid: Placed) -> None:
    key = str(uuid4())
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: paid.give_back(1, key=key), range(4)))
    assert {each.status_code for each in answers} <= {201, 409}
    assert {each.get_json()["error"] for each in answers if each.status_code == 409} <= {"request_still_running"}
    assert (paid.given_back(), paid.stock, len(paid.refunds)) == (1000, [8], 1)


def long_ago(order: Placed) -> None:
    order.till.rows(
        "UPDATE shop_refunds SET created_at = created_at - interval '3 minutes' WHERE order_id = %s", order.id
    )


def test_stripe_is_away_and_the_job_makes_it(till: Till, paid: Placed) -> None:
    till.stripe.faults.add(Trouble.RATE_LIMIT, under=REFUNDS)
    away = paid.give_back(1)
    assert (away.status_code, "Retry-After" in away.headers) == (503, True)
    assert ([each["state"] for each in paid.refunds], paid.row["refunded_minor"], paid.stock) == (
        ["requested"],
        1000,
        [7],
    )

    till.run_job("finish_refunds")
    assert paid.given_back() == 0  # its request may still be at work
    long_ago(paid)
    assert till.run_job("finish_refunds") == 1
    assert ([each["state"] for each in paid.refunds], paid.given_back(), paid.stock) == (["done"], 1000, [8])
    assert till.run_job("finish_refunds") == 0


@pytest.mark.slow
@pytest.mark.parametrize("finished_by", ["the same key", "the job", "the webhook"])
def test_the_answer_is_lost(till: Till, paid: Placed, finished_by: str) -> None:
    """As when the process is killed: the refund is there at Stripe, and we do not know."""
    key = str(uuid4())
    till.stripe.faults.add(Trouble.LOST_ANSWER, times=3, under=REFUNDS, verb="post")
    assert paid.give_back(1, key=key).status_code == 503
    assert [each["state"] for each in paid.refunds] == ["requested"]

    if finished_by == "the same key":
        again = paid.give_back(1, key=key)
        assert (again.status_code, again.get_json()["state"]) == (201, "done")
    elif finished_by == "the job":
        long_ago(paid)
        till.run_job("finish_refunds")
    else:
        till.deliver()
    assert ([each["state"] for each in paid.refunds], paid.given_back(), paid.stock) == (["done"], 1000, [8])


def test_one_that_we_took_for_refused_and_stripe_made(till: Till, paid: Placed) -> None:
    paid.give_back(1)
    till.rows("UPDATE shop_refunds SET state = 'failed' WHERE order_id = %s", paid.id)
    till.rows("UPDATE shop_order_items SET refunded_quantity = 0 WHERE order_id = %s", paid.id)
    till.rows("UPDATE shop_orders SET refunded_minor = 0 WHERE id = %s", paid.id)
    till.deliver()

    assert ([each["state"] for each in paid.refunds], paid.row["refunded_minor"]) == (["done"], 1000)
    assert (line(paid)["refunded_quantity"], paid.stock) == (1, [8])


def test_stripe_forgets_keys_and_we_do_not(till: Till, paid: Placed) -> None:
    """It keeps them for a day, and a refund may wait for longer."""
    paid.give_back(1)
    till.rows("UPDATE shop_refunds SET state = 'requested' WHERE order_id = %s", paid.id)
    till.stripe.outbox.forget_pending()
    till.stripe._api._keys._answers.clear()
    long_ago(paid)
    till.run_job("finish_refunds")

    assert ([each["state"] for each in paid.refunds], paid.given_back(), paid.stock) == (["done"], 1000, [8])


@pytest.mark.parametrize("trouble", ["Stripe refuses", "a row of ours is wrong"])
def test_one_that_cannot_be_made_keeps_no_other_waiting(till: Till, paid: Placed, trouble: str) -> None:
    other = till.order(1).pay()
    for each in (paid, other):
        till.stripe.faults.add(Trouble.RATE_LIMIT, under=REFUNDS)
        assert each.give_back(1).status_code == 503
        long_ago(each)
    if trouble == "Stripe refuses":
        del till.stripe.books.objects[paid.intent["id"]]
    else:
        till.rows("UPDATE shop_orders SET payment_id = NULL WHERE id = %s", paid.id)
    assert till.run_job("finish_refunds") == 1

    assert ([each["state"] for each in other.refunds], other.given_back()) == (["done"], 1000)
    left = [each["state"] for each in paid.refunds]
    passed_over = till.rows("SELECT 1 FROM passed_over_items WHERE item = %s", str(paid.refunds[0]["id"]))
    if trouble == "Stripe refuses":
        assert (left, paid.row["refunded_minor"], passed_over) == (["failed"], 0, [])
    else:
        assert (left, len(passed_over)) == (["requested"], 1)
        till.rows("DELETE FROM shop_refunds WHERE order_id = %s", paid.id)


def test_what_the_dashboard_gave_back_counts(till: Till, paid: Placed) -> None:
    till.stripe.refunds.refund(paid.charge, 2500)
    till.deliver(times=2)
    [adopted] = paid.refunds
    assert (adopted["state"], adopted["amount_minor"], adopted["actor_id"]) == ("done", 2500, None)
    assert (paid.payment_status, paid.row["refunded_minor"], paid.stock) == ("partly_refunded", 2500, [7])
    assert paid.give_back(1).get_json()["refundable_amount"] == "5.00"


def test_what_the_dashboard_gave_back_a_moment_ago(till: Till, paid: Placed) -> None:
    """Stripe refuses ours, and then we know why."""
    till.stripe.refunds.refund(paid.charge)
    answer = paid.give_back(1)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "nothing_to_refund")
    assert {each["state"] for each in paid.refunds} == {"failed", "done"}
    assert (paid.row["refunded_minor"], paid.payment_status) == (3000, "refunded")


def test_a_part_from_the_dashboard_and_more_than_the_rest_from_us(till: Till, paid: Placed) -> None:
    till.stripe.refunds.refund(paid.charge, 1500)
    answer = paid.give_back(2)
    assert (answer.status_code, answer.get_json()["refundable_amount"]) == (409, "15.00")
    assert paid.given_back() == 1500


def test_the_buyers_bank_sends_it_back(till: Till, paid: Placed) -> None:
    """Then nothing is given back, and the goods that came stay: the next refund does not put them there again."""
    first = paid.give_back(2).get_json()
    till.control("fail-refund", refund=first["stripe_refund_id"])
    till.deliver()
    assert ([each["state"] for each in paid.refunds], paid.payment_status) == (["failed"], "paid")
    assert (paid.row["refunded_minor"], line(paid)["refunded_quantity"], paid.stock) == (0, 0, [9])

    assert paid.give_back(3).status_code == 201
    assert (paid.given_back(), paid.stock) == (3000, [10])
