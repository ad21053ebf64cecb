"""Idempotency-Key on what costs something at Stripe: asking twice with one key is asking once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.faults import Trouble
from tests.payments.stripe_app import RunningStripe

CHECKOUT, CHANGE = "/stripe/create-checkout-session", "/stripe/subscription/change"
ORDER, CONFIRM = "/stripe/create-intent", "/stripe/confirm"
PRO, ENTERPRISE = ({"tier": tier, "billing_cycle": "monthly"} for tier in ("pro", "enterprise"))
PASS, TWO = {"item": "pass"}, {"item": "pass", "quantity": 2}
KEY = "order-1"


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    stripe.item(stock=5)
    return stripe.user()


def prepare(stripe: RunningStripe, user: UUID, path: str) -> None:
    if path == CHANGE:
        stripe.buy(user)


def pay(payment: str, card: str = "pm_card_visa") -> dict[str, Any]:
    return {"payment_id": payment, "payment_method": card}


def replayed(first: TestResponse, again: TestResponse) -> bool:
    assert (first.status_code, again.status_code) == (200, 200), (first.text, again.text)
    assert "Idempotency-Replayed" not in first.headers
    return again.headers.get("Idempotency-Replayed") == "true"


def made(stripe: RunningStripe) -> list[str]:
    """What costs at Stripe."""
    kinds = ("checkout.session", "payment_intent", "invoice", "charge")
    return [str(each["id"]) for kind in kinds for each in stripe.server.books.all(kind)]


def test_a_checkout_that_was_paid_is_not_begun_again(stripe: RunningStripe, alice: UUID) -> None:
    first = stripe.post(CHECKOUT, PRO, alice, key=KEY)
    stripe.press(first.get_json()["checkout_url"], Card.GOOD.value)
    stripe.deliver()
    before = made(stripe)
    again = stripe.post(CHECKOUT, PRO, alice, key=KEY)

    assert replayed(first, again)
    assert again.get_json() == first.get_json()
    assert made(stripe) == before
    assert stripe.post(CHECKOUT, PRO, alice).get_json()["error"] == "already_subscribed"


def test_an_order_that_was_paid_is_not_made_again(stripe: RunningStripe, alice: UUID) -> None:
    first = stripe.post(ORDER, PASS, alice, key=KEY)
    open_still = stripe.post(ORDER, PASS, alice, key=KEY)
    payment = first.get_json()["id"]
    assert stripe.post(CONFIRM, pay(payment), alice).status_code == 200
    again = stripe.post(ORDER, PASS, alice, key=KEY)

    assert replayed(first, open_still)
    assert open_still.get_json() == first.get_json()
    assert replayed(first, again)
    assert (again.get_json()["id"], again.get_json()["status"]) == (payment, "succeeded")
    assert again.get_json()["client_secret"] is None
    assert (stripe.stock(), len(list(stripe.server.books.all("payment_intent")))) == (4, 1)
    assert stripe.post(ORDER, PASS, alice).get_json()["id"] != payment


def test_an_order_whose_payment_stripe_does_not_know_is_over(stripe: RunningStripe, alice: UUID) -> None:
    first = stripe.post(ORDER, PASS, alice, key=KEY)
    del stripe.server.books.objects[stripe.latest("payment_intent")["id"]]
    again = stripe.post(ORDER, PASS, alice, key=KEY)

    assert replayed(first, again)
    assert (again.get_json()["status"], again.get_json()["client_secret"]) == ("canceled", None)
    assert stripe.stock() == 5


def test_a_payment_is_confirmed_once(stripe: RunningStripe, alice: UUID) -> None:
    body = pay(stripe.post(ORDER, PASS, alice).get_json()["id"])
    first = stripe.post(CONFIRM, body, alice, key=KEY)
    again = stripe.post(CONFIRM, body, alice, key=KEY)

    assert replayed(first, again)
    assert again.get_json() == first.get_json()
    assert len(list(stripe.server.books.all("charge"))) == 1


def test_a_plan_is_changed_once(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    first = stripe.post(CHANGE, ENTERPRISE, alice, key=KEY)
    assert stripe.change(alice, "pro").status_code == 200
    before = made(stripe)
    again = stripe.post(CHANGE, ENTERPRISE, alice, key=KEY)

    assert replayed(first, again)
    assert again.get_json() == first.get_json()
    assert made(stripe) == before
    assert stripe.own(alice)["pending_tier"] == "pro"


@pytest.mark.parametrize(
    ("path", "body", "other"),
    [(CHECKOUT, PRO, ENTERPRISE), (ORDER, PASS, TWO), (CHANGE, ENTERPRISE, PRO)],
)
def test_another_body_under_the_same_key_is_refused(
    stripe: RunningStripe,
    alice: UUID,
    path: str,
    body: dict[str, Any],
    other: dict[str, Any],
) -> None:
    prepare(stripe, alice, path)
    assert stripe.post(path, body, alice, key=KEY).status_code == 200
    seen = len(stripe.server.seen)
    refused = stripe.post(path, other, alice, key=KEY)

    assert (refused.status_code, refused.get_json()["error"]) == (422, "idempotency_key_reused")
    assert len(stripe.server.seen) == seen


def test_another_payment_under_the_same_key_is_not_confirmed(stripe: RunningStripe, alice: UUID) -> None:
    first = stripe.post(ORDER, PASS, alice).get_json()["id"]
    assert stripe.post(CONFIRM, pay(first), alice, key=KEY).status_code == 200
    second = stripe.post(ORDER, PASS, alice).get_json()["id"]
    refused = stripe.post(CONFIRM, pay(second), alice, key=KEY)

    assert (refused.status_code, refused.get_json()["error"]) == (422, "idempotency_key_reused")
    assert stripe.get(f"/{second}", alice).get_json()["status"] == "pending"


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (CHECKOUT, PRO, "checkout.session"),
        (ORDER, PASS, "payment_intent"),
        (CHANGE, ENTERPRISE, "invoice"),
    ],
)
def test_many_at_once_make_one(
    stripe: RunningStripe,
    alice: UUID,
    path: str,
    body: dict[str, Any],
    kind: str,
) -> None:
    prepare(stripe, alice, path)
    there = len(list(stripe.server.books.all(kind)))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: stripe.post(path, body, alice, key=KEY), range(8)))

    refused = {answer.get_json()["error"] for answer in answers if answer.status_code != 200}
    assert refused <= {"request_still_running"}
    assert len({answer.get_data() for answer in answers if answer.status_code == 200}) == 1
    assert len(list(stripe.server.books.all(kind))) == there + 1
    assert stripe.post(path, body, alice, key=KEY).headers["Idempotency-Replayed"] == "true"


def test_what_failed_frees_the_key(stripe: RunningStripe, alice: UUID) -> None:
    payment = stripe.post(ORDER, PASS, alice).get_json()["id"]
    declined = stripe.post(CONFIRM, pay(payment, "pm_card_chargeDeclined"), alice, key=KEY)
    paid = stripe.post(CONFIRM, pay(payment), alice, key=KEY)

    assert (declined.status_code, declined.get_json()["error"]) == (402, "card_declined")
    assert (paid.status_code, paid.get_json()["status"]) == (200, "succeeded")


def test_an_order_whose_answer_was_lost_on_its_way_from_stripe_is_made_once(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.faults.add(Trouble.LOST_ANSWER, times=3, under="/v1/payment_intents")
    failed = stripe.post(ORDER, PASS, alice, key=KEY)
    again = stripe.post(ORDER, PASS, alice, key=KEY)

    assert (failed.status_code, again.status_code) == (503, 200)
    assert (stripe.stock(), len(list(stripe.server.books.all("payment_intent")))) == (4, 1)


def test_a_request_that_died_is_made_again_and_finds_what_it_made(stripe: RunningStripe, alice: UUID) -> None:
    first = stripe.post(ORDER, PASS, alice, key=KEY)
    died = "UPDATE idempotency_keys SET answer = NULL, answered_at = NULL, lease_until = now()"
    stripe.query(f"{died} + interval '1 minute'")
    running = stripe.post(ORDER, PASS, alice, key=KEY)
    stripe.query(died)
    again = stripe.post(ORDER, PASS, alice, key=KEY)

    assert (running.status_code, running.get_json()["error"]) == (409, "request_still_running")
    assert int(running.headers["Retry-After"]) >= 1
    assert (again.status_code, again.get_json()) == (200, first.get_json())
    assert stripe.stock() == 4


def test_a_key_belongs_to_one_user_and_one_operation(stripe: RunningStripe, alice: UUID) -> None:
    first = stripe.post(ORDER, PASS, alice, key=KEY).get_json()
    other = stripe.post(ORDER, PASS, stripe.user("bob"), key=KEY).get_json()

    assert other["id"] != first["id"]
    assert stripe.post(CONFIRM, pay(first["id"]), alice, key=KEY).get_json()["status"] == "succeeded"


def test_the_client_secret_is_not_stored(stripe: RunningStripe, alice: UUID) -> None:
    secret = stripe.post(ORDER, PASS, alice, key=KEY).get_json()["client_secret"]

    [row] = stripe.query("SELECT idempotency_keys::text AS stored FROM idempotency_keys")
    assert secret not in row.stored


@pytest.mark.parametrize("path", [CHECKOUT, CHANGE, ORDER, CONFIRM])
def test_a_malformed_key_is_400_and_costs_nothing(stripe: RunningStripe, alice: UUID, path: str) -> None:
    refused = stripe.post(path, PRO, alice, key="two words")

    assert (refused.status_code, refused.get_json()["error"]) == (400, "malformed_idempotency_key")
    assert stripe.server.seen == []
