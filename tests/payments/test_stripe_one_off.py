"""POST /api/payments/stripe/create-intent and /confirm, and GET /api/payments/{id}"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from payments.purchases.status import OPEN, TRANSITIONS, PaymentStatus
from sandbox.stripe_server.protocol.faults import Trouble
from tests.payments.stripe_app import RunningStripe

INTENTS = "/v1/payment_intents"
GOOD, DECLINED, NEEDS_BANK = "pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired"
RESERVED = timedelta(minutes=30)


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    stripe.item(stock=5)
    return stripe.user()


def order(stripe: RunningStripe, user: UUID, quantity: int = 1, **more: Any) -> TestResponse:
    return stripe.post("/stripe/create-intent", {"item": "pass", "quantity": quantity, **more}, user)


def confirm(stripe: RunningStripe, user: UUID, payment: str, method: str = GOOD) -> TestResponse:
    return stripe.post("/stripe/confirm", {"payment_id": payment, "payment_method": method}, user)


def read(stripe: RunningStripe, user: UUID, payment: str) -> TestResponse:
    return stripe.get(f"/{payment}", user)


def ordered(stripe: RunningStripe, user: UUID, quantity: int = 1) -> str:
    answer = order(stripe, user, quantity)
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["id"])


def paid(stripe: RunningStripe, user: UUID, quantity: int = 1) -> str:
    payment = ordered(stripe, user, quantity)
    answer = confirm(stripe, user, payment)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "succeeded"), answer.text
    return payment


def test_the_price_is_ours_and_the_stock_is_set_aside(stripe: RunningStripe, alice: UUID) -> None:
    body = order(stripe, alice, 2).get_json()

    assert (body["status"], body["amount"], body["currency"]) == ("pending", 3000, "usd")
    assert body["client_secret"].startswith("pi_")
    [asked] = stripe.seen(INTENTS)
    assert (asked.params["amount"], asked.params["metadata"]["payment_id"]) == (3000, body["id"])
    assert asked.idempotency_key == f"payment:{body['id']}"
    assert stripe.stock() == 3


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"amount": 1}, "/amount"),
        ({"currency": "vnd"}, "/currency"),
        ({"quantity": 0}, "/quantity"),
        ({"quantity": 101}, "/quantity"),
        ({"quantity": 1.5}, "/quantity"),
        ({"item": "../pass"}, "/item"),
    ],
)
def test_the_client_sets_no_price(stripe: RunningStripe, alice: UUID, changes: dict[str, Any], pointer: str) -> None:
    answer = stripe.post("/stripe/create-intent", {"item": "pass", "quantity": 1, **changes}, alice)

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == pointer
    assert stripe.server.seen == []
    assert stripe.stock() == 5


def test_asking_twice_gives_the_same_payment(stripe: RunningStripe, alice: UUID) -> None:
    first, second = order(stripe, alice).get_json(), order(stripe, alice).get_json()

    assert first == second
    assert stripe.stock() == 4
    assert len(list(stripe.server.books.all("payment_intent"))) == 1


def test_many_clicks_make_one_payment(stripe: RunningStripe, alice: UUID) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: order(stripe, alice), range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.get_json()["id"] for answer in answers}) == 1
    assert stripe.stock() == 4


def test_another_quantity_waits_for_the_open_payment(stripe: RunningStripe, alice: UUID) -> None:
    first = ordered(stripe, alice)
    answer = order(stripe, alice, 2)

    assert (answer.status_code, answer.get_json()["error"]) == (409, "payment_open")
    assert answer.get_json()["payment_id"] == first


def test_the_last_one_goes_to_one_buyer(stripe: RunningStripe, alice: UUID) -> None:
    stripe.item(stock=1)
    buyers = [alice, *(stripe.user(name) for name in ("bob", "carol", "dave"))]
    with ThreadPoolExecutor(4) as threads:
        statuses = sorted(threads.map(lambda user: order(stripe, user).status_code, buyers))

    assert statuses == [200, 409, 409, 409]
    assert stripe.stock() == 0


def test_what_is_out_of_stock_is_said_so(stripe: RunningStripe, alice: UUID) -> None:
    assert order(stripe, alice, 6).get_json()["error"] == "out_of_stock"
    assert stripe.stock() == 5


@pytest.mark.parametrize("known", [True, False])
def test_what_is_not_on_sale_is_not_found(stripe: RunningStripe, alice: UUID, known: bool) -> None:
    if known:
        stripe.query("UPDATE items SET is_active = false")
    answer = stripe.post("/stripe/create-intent", {"item": "pass" if known else "yacht"}, alice)

    assert answer.status_code == 404


def test_too_much_for_one_payment_is_refused(stripe: RunningStripe, alice: UUID) -> None:
    stripe.item("yacht", 99_999_999)
    answer = stripe.post("/stripe/create-intent", {"item": "yacht", "quantity": 2}, alice)

    assert (answer.status_code, answer.get_json()["error"]) == (409, "amount_too_large")


def test_paying_hands_it_over_once(stripe: RunningStripe, alice: UUID) -> None:
    payment = paid(stripe, alice, 2)
    before = stripe.query("SELECT fulfilled_at FROM payments")[0].fulfilled_at
    stripe.server.advance(timedelta(seconds=10))
    stripe.server.outbox.copies = 2
    stripe.deliver()

    assert stripe.query("SELECT fulfilled_at FROM payments")[0].fulfilled_at == before
    body = read(stripe, alice, payment).get_json()
    assert (body["kind"], body["status"], body["item"], body["quantity"]) == ("one_off", "succeeded", "pass", 2)
    assert "client_secret" not in body
    assert stripe.stock() == 3


def test_the_news_before_the_answer_are_as_good(stripe: RunningStripe, alice: UUID) -> None:
    """The payment is confirmed on the device, and Stripe tells us before anybody asks."""
    payment = ordered(stripe, alice)
    intent_id = stripe.latest("payment_intent")["id"]
    with stripe.app.app_context():
        stripe.rules.handler.confirm_intent(intent_id, GOOD)
    stripe.deliver()
    assert stripe.query("SELECT status FROM payments")[0].status == "succeeded"

    answer = confirm(stripe, alice, payment)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "succeeded")
    assert answer.get_json()["client_secret"] is None


def test_a_declined_card_leaves_it_open_for_another(stripe: RunningStripe, alice: UUID) -> None:
    payment = ordered(stripe, alice)
    answer = confirm(stripe, alice, payment, DECLINED)
    assert (answer.status_code, answer.get_json()["error"]) == (402, "card_declined")
    assert read(stripe, alice, payment).get_json()["status"] == "pending"
    assert stripe.stock() == 4

    assert confirm(stripe, alice, payment).get_json()["status"] == "succeeded"
    assert len(list(stripe.server.books.all("payment_intent"))) == 1


@pytest.mark.parametrize(("passed", "status"), [(True, "succeeded"), (False, "pending")])
def test_when_the_bank_asks_the_buyer_goes_on(stripe: RunningStripe, alice: UUID, passed: bool, status: str) -> None:
    payment = ordered(stripe, alice)
    body = confirm(stripe, alice, payment, NEEDS_BANK).get_json()
    assert body["status"] == "action_required"
    assert body["client_secret"].startswith("pi_")

    stripe.server.payment_intents.authenticate(stripe.latest("payment_intent"), passed=passed)
    stripe.deliver()
    assert read(stripe, alice, payment).get_json()["status"] == status


def test_two_confirmations_at_once_charge_once(stripe: RunningStripe, alice: UUID) -> None:
    payment = ordered(stripe, alice)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: confirm(stripe, alice, payment), range(4)))

    assert {(answer.status_code, answer.get_json()["status"]) for answer in answers} == {(200, "succeeded")}
    assert len(list(stripe.server.books.all("charge"))) == 1


def test_a_method_that_stripe_does_not_know_is_named(stripe: RunningStripe, alice: UUID) -> None:
    answer = confirm(stripe, alice, ordered(stripe, alice), "pm_unknown")

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "/payment_method"


def test_nobody_sees_or_pays_what_another_ordered(stripe: RunningStripe, alice: UUID) -> None:
    payment, mallory = ordered(stripe, alice), stripe.user("mallory")

    assert read(stripe, mallory, payment).status_code == 404
    assert confirm(stripe, mallory, payment).status_code == 404
    assert read(stripe, mallory, payment).get_json()["error"] == read(stripe, mallory, str(uuid4())).get_json()["error"]
    assert stripe.client.get(f"/api/payments/{payment}").status_code == 401


def test_a_reservation_ends_and_the_payment_with_it(stripe: RunningStripe, alice: UUID) -> None:
    payment = ordered(stripe, alice)
    stripe.server.advance(RESERVED)
    assert stripe.run_job("release_reservations") == 1

    assert stripe.stock() == 5
    assert stripe.latest("payment_intent")["status"] == "canceled"
    assert read(stripe, alice, payment).get_json()["status"] == "canceled"
    assert confirm(stripe, alice, payment).get_json()["error"] == "payment_closed"
    assert ordered(stripe, alice) != payment


def test_what_was_paid_at_the_last_moment_is_paid(stripe: RunningStripe, alice: UUID) -> None:
    payment = ordered(stripe, alice)
    with stripe.app.app_context():
        stripe.rules.handler.confirm_intent(stripe.latest("payment_intent")["id"], GOOD)
    stripe.server.advance(RESERVED)
    stripe.run_job("release_reservations")

    assert read(stripe, alice, payment).get_json()["status"] == "succeeded"
    assert stripe.stock() == 4


@pytest.mark.parametrize("left", [True, False])
def test_paid_after_it_was_given_up_it_gets_what_is_left_or_the_money_back(
    stripe: RunningStripe, alice: UUID, left: bool
) -> None:
    payment = ordered(stripe, alice)
    stripe.query("UPDATE payments SET status = 'canceled'")
    if not left:
        stripe.query("UPDATE items SET stock = 0")
    with stripe.app.app_context():
        stripe.rules.handler.confirm_intent(stripe.latest("payment_intent")["id"], GOOD)
    stripe.deliver()

    status = read(stripe, alice, payment).get_json()["status"]
    refunded = [each["amount"] for each in stripe.server.books.all("refund")]
    assert (status, refunded) == (("succeeded", []) if left else ("refunded", [1500]))
    assert (stripe.stock() or 0) >= 0


def test_a_bank_debit_on_its_way_keeps_its_reservation(stripe: RunningStripe, alice: UUID) -> None:
    payment = ordered(stripe, alice)
    assert confirm(stripe, alice, payment, "pm_usBankAccount_success").get_json()["status"] == "processing"
    stripe.server.advance(timedelta(hours=2))

    assert stripe.run_job("release_reservations") == 0
    assert stripe.stock() == 4


@pytest.mark.parametrize(
    "change", [{"amount_received": 1}, {"currency": "vnd"}, {"metadata": {"payment_id": str(uuid4())}}]
)
def test_what_does_not_fit_the_order_is_held_for_a_person(
    stripe: RunningStripe, alice: UUID, change: dict[str, Any]
) -> None:
    payment = ordered(stripe, alice)
    intent = stripe.latest("payment_intent")
    with stripe.app.app_context():
        stripe.rules.handler.confirm_intent(intent["id"], GOOD)
    intent.update(change)
    stripe.deliver()

    assert read(stripe, alice, payment).get_json()["status"] == "held"
    assert stripe.query("SELECT fulfilled_at FROM payments")[0].fulfilled_at is None
    assert stripe.counted("stripe_payment_differs_from_order") == 1


@pytest.mark.parametrize(("amount", "status"), [(500, "succeeded"), (None, "refunded")])
def test_refunds_are_shown(stripe: RunningStripe, alice: UUID, amount: int | None, status: str) -> None:
    payment = paid(stripe, alice)
    stripe.server.refunds.refund(stripe.latest("charge"), amount)
    stripe.deliver()

    body = read(stripe, alice, payment).get_json()
    assert (body["status"], body["refunded_amount"]) == (status, amount or 1500)


def fail_refund(stripe: RunningStripe) -> None:
    """The buyer's bank sends the money back to us."""
    refund, charge = stripe.latest("refund"), stripe.latest("charge")
    refund["status"] = "failed"
    charge.update(amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
    stripe.server.books.announce("refund.failed", refund)
    stripe.deliver()


@pytest.mark.parametrize("corrected", [True, False], ids=["charge corrected", "charge as it was"])
def test_a_refund_that_fails_is_no_refund(stripe: RunningStripe, alice: UUID, corrected: bool) -> None:
    """Stripe does not promise to lower what the charge says was given back, so the refunds are asked for."""
    payment = paid(stripe, alice)
    stripe.server.refunds.refund(stripe.latest("charge"))
    stripe.deliver()
    assert read(stripe, alice, payment).get_json()["status"] == "refunded"
    fail_refund(stripe)
    if not corrected:
        stripe.latest("charge").update(amount_refunded=1500, refunded=True)
        stripe.server.books.announce("payment_intent.succeeded", stripe.latest("payment_intent"))
        stripe.deliver()

    body = read(stripe, alice, payment).get_json()
    assert (body["status"], body["refunded_amount"]) == ("succeeded", 0)
    assert stripe.counted("stripe_refund_failed") == 1


def test_what_was_never_handed_over_is_held_when_its_refund_fails(stripe: RunningStripe, alice: UUID) -> None:
    payment = ordered(stripe, alice)
    stripe.query("UPDATE payments SET status = 'canceled'")
    stripe.query("UPDATE items SET stock = 0")
    with stripe.app.app_context():
        stripe.rules.handler.confirm_intent(stripe.latest("payment_intent")["id"], GOOD)
    stripe.deliver()
    assert read(stripe, alice, payment).get_json()["status"] == "refunded"
    fail_refund(stripe)

    assert read(stripe, alice, payment).get_json()["status"] == "held"
    assert stripe.query("SELECT fulfilled_at FROM payments")[0].fulfilled_at is None


def test_a_refund_that_is_heard_of_before_its_payment(stripe: RunningStripe, alice: UUID) -> None:
    payment = ordered(stripe, alice)
    with stripe.app.app_context():
        stripe.rules.handler.confirm_intent(stripe.latest("payment_intent")["id"], GOOD)
    stripe.server.refunds.refund(stripe.latest("charge"))
    stripe.deliver(tuple(reversed(range(len(stripe.server.outbox.pending())))))

    assert read(stripe, alice, payment).get_json()["status"] == "refunded"
    assert stripe.stock() == 5


def test_no_late_word_of_the_payment_ends_a_dispute(stripe: RunningStripe, alice: UUID) -> None:
    payment = paid(stripe, alice)
    stripe.deliver()
    stripe.server.refunds.dispute(stripe.latest("charge"))
    stripe.deliver()
    succeeded = next(row["id"] for row in stripe.events() if row["kind"] == "payment_intent.succeeded")
    stripe.cli("replay", "--event", str(succeeded))
    stripe.work()

    assert read(stripe, alice, payment).get_json()["status"] == "disputed"
    assert stripe.counted("stripe_dispute") == 1


@pytest.mark.parametrize(("outcome", "status"), [("won", "succeeded"), ("lost", "disputed")])
def test_a_dispute_is_followed(stripe: RunningStripe, alice: UUID, outcome: str, status: str) -> None:
    payment = paid(stripe, alice)
    dispute = stripe.server.refunds.dispute(stripe.latest("charge"))
    stripe.deliver()
    assert read(stripe, alice, payment).get_json()["status"] == "disputed"
    stripe.server.refunds.close(dispute, outcome)
    stripe.deliver()

    assert read(stripe, alice, payment).get_json()["status"] == status


def test_when_stripe_stays_away_the_same_payment_is_made_later(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.faults.add(Trouble.LOST_ANSWER, times=3, under=INTENTS)
    assert order(stripe, alice).status_code == 503
    assert stripe.stock() == 4

    ordered(stripe, alice)
    assert len(list(stripe.server.books.all("payment_intent"))) == 1
    assert stripe.stock() == 4


def test_an_order_that_stripe_never_answered_is_given_up(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.faults.add(Trouble.RESET, times=3, under=INTENTS)
    assert order(stripe, alice).status_code == 503
    stripe.server.advance(RESERVED)

    assert stripe.run_job("release_reservations") == 1
    assert stripe.stock() == 5


@pytest.mark.parametrize("ask", ["order", "confirm", "read"])
def test_a_payment_that_stripe_does_not_know_is_over_at_once(stripe: RunningStripe, alice: UUID, ask: str) -> None:
    """Deleted there, or the key is of another account now: the buyer does not wait for half an hour."""
    payment = ordered(stripe, alice)
    del stripe.server.books.objects[stripe.latest("payment_intent")["id"]]
    if ask == "confirm":
        assert confirm(stripe, alice, payment).get_json()["error"] == "payment_closed"
    elif ask == "read":
        assert read(stripe, alice, payment).get_json()["status"] == "canceled"

    assert ordered(stripe, alice) != payment
    assert stripe.stock() == 4


def test_after_a_change_of_the_key_the_buyer_gets_a_new_customer(stripe: RunningStripe, alice: UUID) -> None:
    payment = ordered(stripe, alice)
    before = stripe.customer_of(alice)
    del stripe.server.books.objects[stripe.latest("payment_intent")["id"]]
    del stripe.server.books.objects[before]

    assert ordered(stripe, alice) != payment
    assert stripe.customer_of(alice) != before
    assert stripe.stock() == 4


@pytest.mark.parametrize("kind", ["one-off", "checkout"])
def test_an_open_payment_is_asked_for_at_stripe_every_two_seconds_at_most(
    stripe: RunningStripe, alice: UUID, kind: str
) -> None:
    payment = ordered(stripe, alice) if kind == "one-off" else stripe.checkout(alice).get_json()["payment_id"]
    path = f"{INTENTS if kind == 'one-off' else '/v1/checkout/sessions'}/"

    def asked() -> int:
        return sum(each.path.startswith(path) and each.verb == "get" for each in stripe.server.seen)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: read(stripe, alice, payment).status_code, range(12)))
    assert (set(answers), asked()) == ({200}, 1)

    stripe.server.advance(timedelta(seconds=2))
    read(stripe, alice, payment)
    assert asked() == 2


def test_a_checkout_that_stripe_does_not_know_is_over(stripe: RunningStripe, alice: UUID) -> None:
    started = stripe.checkout(alice).get_json()
    del stripe.server.books.objects[started["session_id"]]

    assert read(stripe, alice, started["payment_id"]).get_json()["status"] == "failed"


def test_a_checkout_can_be_asked_for_by_its_buyer_alone(stripe: RunningStripe, alice: UUID) -> None:
    """The page that Stripe leads back to asks with the id that our own address carries."""
    started = stripe.checkout(alice).get_json()
    stripe.press(started["checkout_url"], "good")
    mallory = stripe.user("mallory")

    assert read(stripe, mallory, started["payment_id"]).status_code == 404
    assert stripe.ledger(alice) == []
    body = read(stripe, alice, started["payment_id"]).get_json()
    assert (body["kind"], body["status"], body["tier"], body["amount"]) == ("checkout", "done", "pro", None)
    assert stripe.ledger(alice) == [("free", "pro")]


def test_what_is_known_is_shown_while_stripe_is_away(stripe: RunningStripe, alice: UUID) -> None:
    payment = ordered(stripe, alice)
    stripe.server.faults.add(Trouble.RATE_LIMIT, under=INTENTS)

    assert read(stripe, alice, payment).get_json()["status"] == "pending"


def test_nothing_that_was_paid_becomes_unpaid() -> None:
    was_paid = set(PaymentStatus) - OPEN - {PaymentStatus.CANCELED}
    reachable = {after for before in was_paid for after in TRANSITIONS[before]}

    assert reachable <= was_paid
    assert TRANSITIONS.keys() == set(PaymentStatus)


@pytest.mark.parametrize(
    "arguments",
    [
        ("BIG", "--title", "x", "--amount", "100"),
        ("pass", "--title", "x", "--amount", "1"),
        ("pass", "--title", "x", "--amount", "100", "--currency", "US$"),
        ("pass", "--title", "x", "--amount", "100", "--stock", "-1"),
        ("pass", "--title", "x", "--amount", "100", "--stock", "1", "--endless"),
        ("pass", "--title", "x"),
        ("pass", "--amount", "100"),
    ],
)
def test_a_wrong_item_is_refused(stripe: RunningStripe, arguments: tuple[str, ...]) -> None:
    result = stripe.app.test_cli_runner().invoke(args=["stripe", "set-item", *arguments])

    assert result.exit_code == 2
    assert stripe.query("SELECT 1 FROM items") == []


def test_items_are_listed(stripe: RunningStripe, alice: UUID) -> None:
    stripe.item("other")
    output = stripe.app.test_cli_runner().invoke(args=["stripe", "items"]).output

    assert "pass  1500 usd  5 left  on sale  A pass" in output
    assert "other  1500 usd  any number  on sale  A pass" in output


def set_item(stripe: RunningStripe, *arguments: str) -> tuple[int, str]:
    result = stripe.app.test_cli_runner().invoke(args=["stripe", "set-item", "pass", *arguments])
    return result.exit_code, result.output


def test_what_is_not_named_stays_as_it_is(stripe: RunningStripe, alice: UUID) -> None:
    set_item(stripe, "--currency", "eur", "--inactive")
    before = stripe.query("SELECT amount, currency, stock, is_active FROM items")[0]

    assert set_item(stripe, "--title", "Another name") == (0, "pass is not on sale.\n")

    assert stripe.query("SELECT amount, currency, stock, is_active FROM items")[0] == before == (1500, "eur", 5, False)
    assert stripe.query("SELECT title FROM items")[0].title == "Another name"


def test_stock_is_counted_with_what_is_set_aside(stripe: RunningStripe, alice: UUID) -> None:
    """There are five on the shelf, and two of them are set aside for somebody who may still pay."""
    payment = ordered(stripe, alice, 2)

    assert set_item(stripe, "--stock", "5")[0] == 0
    assert stripe.stock() == 3
    code, output = set_item(stripe, "--stock", "1")
    assert (code, "2 of pass are reserved" in output) == (2, True)
    assert stripe.stock() == 3
    assert confirm(stripe, alice, payment).status_code == 200
    assert set_item(stripe, "--stock", "5")[0] == 0
    assert stripe.stock() == 5
    assert set_item(stripe, "--endless")[0] == 0
    assert stripe.stock() is None
