"""POST /api/payments/stripe/create-intent with `order_id`, and what becomes of the order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from auth.principal import Role
from payments.purchases.items import Items
from payments.purchases.orders import order_purchase
from sandbox.stripe_server.protocol.faults import Trouble
from security.edge.problems import NotFound
from tests.capabilities.shop.money.till import CREATE_INTENT, DEBIT, Placed, Till

INTENTS = "/v1/payment_intents"


def test_an_order_is_paid_without_a_webhook_and_the_webhook_changes_nothing(till: Till, order: Placed) -> None:
    begun = order.begin().get_json()
    assert (begun["amount"], begun["currency"], begun["status"], begun["order_id"]) == (
        3000,
        "usd",
        "pending",
        order.id,
    )
    assert (order.payment_status, str(order.row["payment_id"])) == ("unpaid", begun["id"])

    confirmed = order.confirm().get_json()
    assert (confirmed["status"], confirmed["order_id"]) == ("succeeded", order.id)
    assert (order.status, order.payment_status) == ("confirmed", "paid")
    before = order.row

    till.deliver(times=2)
    assert (order.row, order.stock, order.refunds) == (before, [7], [])
    read = till.get(f"/api/payments/{begun['id']}", till.alice).get_json()
    assert (read["order_id"], read["item"], read["amount"]) == (order.id, None, 3000)


def test_asking_again_gives_the_same_payment(till: Till, order: Placed) -> None:
    first, again = order.begin(key="k-1"), order.begin()
    assert first.get_json() == again.get_json()

    order.confirm()
    replayed = order.begin(key="k-1")
    assert (replayed.status_code, replayed.headers["Idempotency-Replayed"]) == (200, "true")
    assert replayed.get_json() == {**first.get_json(), "status": "succeeded", "client_secret": None}
    assert len(order.payments) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/item"),
        ({"item": "pass", "order_id": str(uuid4())}, ""),
        ({"order_id": str(uuid4()), "quantity": 1}, "/quantity"),
        ({"order_id": str(uuid4()), "amount": 1}, "/amount"),
        ({"order_id": "B7Q2-M4XK"}, "/order_id"),
        ({"order_id": None}, "/order_id"),
    ],
)
def test_it_takes_an_item_or_an_order(till: Till, body: dict[str, object], pointer: str) -> None:
    answer = till.call("POST", CREATE_INTENT, till.alice, json=body)
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, pointer)


def test_the_document_says_so(till: Till) -> None:
    schemas = till.get("/openapi.json").get_json()["components"]["schemas"]
    forms = [each["$ref"].rpartition("/")[2] for each in schemas["CreateIntentBody"]["oneOf"]]
    assert [set(schemas[form]["properties"]) for form in forms] == [{"item", "quantity"}, {"order_id"}]


def test_nobody_pays_for_somebody_else_or_for_nothing(till: Till, order: Placed) -> None:
    stranger = till.register(Role.USER)
    nothing = till.call("POST", CREATE_INTENT, till.alice, json={"order_id": str(uuid4())})

    assert (order.begin(stranger).status_code, nothing.status_code, order.payments) == (404, 404, [])


@pytest.mark.parametrize("status", ["confirmed", "shipped", "delivered", "cancelled"])
def test_only_a_pending_order_is_paid(till: Till, order: Placed, status: str) -> None:
    till.rows("UPDATE shop_orders SET status = %s WHERE id = %s", status, order.id)
    answer = order.begin()

    assert (answer.status_code, answer.get_json()["error"]) == (409, "order_not_payable")
    assert (answer.get_json()["order_status"], order.payments) == (status, [])


def expire(order: Placed) -> None:
    order.till.rows("UPDATE shop_orders SET reserved_until = now() - interval '1 second' WHERE id = %s", order.id)


def test_an_expired_order_cannot_be_paid(till: Till, order: Placed) -> None:
    """Also while the job that cancels it has not come."""
    assert order.begin().status_code == 200
    expire(order)

    for answer in (order.begin(), order.confirm()):
        assert (answer.status_code, answer.get_json()["error"]) == (409, "order_not_payable")
    assert (order.status, order.intent["status"]) == ("pending", "requires_payment_method")


def test_its_payment_is_open_for_as_long_as_the_order_is(till: Till, order: Placed) -> None:
    order.begin()
    assert order.payments[0]["reserved_until"] == order.row["reserved_until"]


def test_a_cancelled_payment_leaves_the_order_to_another_one(till: Till, order: Placed) -> None:
    order.begin()
    till.rows("UPDATE payments SET reserved_until = now() WHERE purchase_id = %s", order.id)
    assert till.run_job("release_reservations") == 1
    assert (order.status, order.payment_status, order.stock) == ("pending", "unpaid", [7])
    closed = order.confirm()
    assert (closed.status_code, closed.get_json()["error"]) == (409, "payment_closed")

    order.pay()
    assert [each["status"] for each in order.payments] == ["canceled", "succeeded"]
    assert (order.status, order.row["payment_id"]) == ("confirmed", order.payments[-1]["id"])


def test_money_that_is_not_what_was_asked_for_is_held_and_nothing_more_is_taken(till: Till, order: Placed) -> None:
    order.begin()
    order.pay_at_stripe()
    order.intent["amount_received"] = 1
    till.deliver()
    assert (order.status, order.payment_status) == ("pending", "held")

    answer = order.begin()
    assert (answer.status_code, answer.get_json()["error"]) == (409, "payment_closed")
    assert answer.get_json()["payment_status"] == "held"
    assert order.give_back(1).get_json()["error"] == "nothing_to_refund"


def test_too_small_for_a_card(till: Till) -> None:
    order = till.order(1, price=20)
    for _ in range(2):
        assert (order.begin().status_code, order.begin().get_json()["error"]) == (409, "amount_too_small")
    assert {each["status"] for each in order.payments} == {"canceled"}


@pytest.mark.parametrize("trouble", [Trouble.RATE_LIMIT, pytest.param(Trouble.LOST_ANSWER, marks=pytest.mark.slow)])
def test_while_stripe_is_away_the_order_waits(till: Till, order: Placed, trouble: Trouble) -> None:
    """The second time the work was done, and the answer was lost, as when the process dies: it is the same payment."""
    till.stripe.faults.add(trouble, times=3, under=INTENTS, verb="post")
    away = order.begin()
    assert (away.status_code, "Retry-After" in away.headers) == (503, True)
    assert (order.status, order.stock, len(order.payments)) == ("pending", [7], 1)
    till.stripe.faults.clear()

    order.pay()
    assert (order.status, len(order.payments)) == ("confirmed", 1)
    assert len(list(till.stripe.books.all("payment_intent", amount=3000, id=order.intent["id"]))) == 1


def test_the_read_settles_what_no_webhook_told(till: Till, order: Placed) -> None:
    begun = order.begin().get_json()
    order.pay_at_stripe()
    till.stripe.outbox.forget_pending()

    assert till.get(f"/api/payments/{begun['id']}", till.alice).get_json()["status"] == "succeeded"
    assert order.status == "confirmed"


def test_the_hourly_reconcile_settles_what_nobody_asked_for(till: Till, order: Placed) -> None:
    order.begin()
    order.pay_at_stripe()
    till.stripe.outbox.forget_pending()
    till.rows("UPDATE payments SET created_at = created_at - interval '1 hour' WHERE purchase_id = %s", order.id)
    till.run_job("reconcile_billing")

    assert order.status == "confirmed"


def test_webhook_confirm_and_read_meet_in_one_payment(till: Till, order: Placed) -> None:
    begun = order.begin().get_json()
    order.pay_at_stripe()
    ways: list[Callable[[], object]] = [
        order.confirm,
        lambda: till.get(f"/api/payments/{begun['id']}", till.alice),
        till.deliver,
        order.confirm,
    ]
    with ThreadPoolExecutor(len(ways)) as threads:
        for running in [threads.submit(way) for way in ways]:
            running.result()

    confirmed = till.rows("SELECT 1 FROM shop_order_events WHERE order_id = %s AND to_status = 'confirmed'", order.id)
    assert (order.status, order.stock, len(confirmed), order.given_back()) == ("confirmed", [7], 1, 0)


def test_a_bank_debit_is_processing(till: Till, order: Placed) -> None:
    order.begin()
    assert order.confirm(DEBIT).get_json()["status"] == "processing"
    assert (order.status, order.payment_status) == ("pending", "processing")


@pytest.mark.parametrize("told", ["the payment was open", "the payment was cancelled"])
def test_money_for_a_cancelled_order_goes_back_by_itself(till: Till, order: Placed, told: str) -> None:
    counted = till.counted("shop_paid_after_end")
    order.begin()
    if told == "the payment was open":
        till.rows("UPDATE shop_orders SET status = 'cancelled', cancelled_at = now() WHERE id = %s", order.id)
        order.pay_at_stripe()
    else:
        order.cancel()
        assert (order.stock, order.intent["status"]) == ([10], "canceled")
        till.control("pay-late", payment_intent=order.intent["id"])
    till.deliver()

    assert (order.status, order.payment_status, order.given_back()) == ("cancelled", "refunded", 3000)
    [refund] = order.refunds
    assert (refund["state"], refund["amount_minor"], refund["actor_id"]) == ("done", 3000, None)
    assert refund["reason"] == "Paid after the order was cancelled"
    assert till.counted("shop_paid_after_end") == counted + 1


def test_a_second_payment_of_one_order_goes_back(till: Till, order: Placed) -> None:
    """The first was given up, and then its money came after all."""
    order.begin()
    first = order.intent
    till.rows("UPDATE payments SET reserved_until = now() WHERE purchase_id = %s", order.id)
    till.run_job("release_reservations")
    order.pay()
    till.deliver()
    till.control("pay-late", payment_intent=first["id"])
    till.deliver()

    assert (order.status, order.payment_status, order.row["refunded_minor"]) == ("confirmed", "paid", 0)
    assert [each["status"] for each in order.payments] == ["refunded", "succeeded"]
    assert (order.refunds, order.stock) == ([], [7])


def test_a_dispute_is_shown_and_stays_when_it_is_lost(till: Till, order: Placed) -> None:
    order.pay()
    dispute = till.stripe.refunds.dispute(order.charge)
    till.deliver()
    assert (order.status, order.payment_status) == ("confirmed", "disputed")
    till.stripe.refunds.close(dispute, "lost")
    till.deliver()
    assert (order.status, order.payment_status, order.stock) == ("confirmed", "disputed", [7])


def test_nothing_is_paid_where_no_shop_is(till: Till, order: Placed) -> None:
    assert till.payments.stripe is not None
    off = replace(till.payments.stripe, purchases=lambda: (Items(),))
    with till.app.app_context(), pytest.raises(NotFound):
        order_purchase(off, UUID(order.id))
