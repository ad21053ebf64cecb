"""POST /api/payments/apple/validate-receipt with receipts of StoreKit 1, checked by verifyReceipt"""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth.tiers import Tier
from sandbox.apple_server.forgeries import to_base64url
from sandbox.http_listener import Reply, Request
from tests.payments.apple_app import ENTERPRISE, PRO, REVIEWER, RunningApple
from tests.payments.conftest import MakeApple


@pytest.fixture
def apple(make_apple: MakeApple) -> Iterator[RunningApple]:
    """Without a key for the App Store Server API, so that only verifyReceipt can be asked."""
    yield make_apple(api=False)


def error(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]


def asked(apple: RunningApple) -> list[int]:
    """How many answers are left that production and the sandbox would give on demand: none is used up unasked."""
    return [len(host.faults.receipts) for host in apple.app_store.hosts]


def test_a_receipt_gives_the_tier(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    body = apple.hand_in(apple.production.receipt_for("alice"), alice).get_json()
    assert (body["tier"], body["subscription"]["status"]) == ("pro", "active")
    assert apple.subscriptions()[0]["apple_transaction_id"] == bought.original_transaction_id


def test_base64_may_be_broken_into_lines(apple: RunningApple) -> None:
    """Apple's own libraries offer lines of 64 characters."""
    alice = apple.user()
    apple.buy(alice)
    receipt = apple.production.receipt_for("alice")
    lines = "\r\n".join(receipt[start : start + 64] for start in range(0, len(receipt), 64))
    assert apple.hand_in(f" {lines}\n", alice).get_json()["tier"] == "pro"


def test_the_newest_of_many_periods_counts(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    apple.app_store.advance(timedelta(days=100))
    assert len(bought.transactions) > 3
    body = apple.hand_in(apple.production.receipt_for("alice"), alice).get_json()
    assert body["tier"] == "pro"


def test_an_upgrade_is_no_refund(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    apple.app_store.advance(timedelta(days=3))
    apple.production.store.change_product(bought.original_transaction_id, ENTERPRISE)
    assert apple.hand_in(apple.production.receipt_for("alice"), alice).get_json()["tier"] == "enterprise"


def test_a_refund_ends_it(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    apple.production.store.refund(bought.latest.transaction_id)
    body = apple.hand_in(apple.production.receipt_for("alice"), alice).get_json()
    assert (body["tier"], body["subscription"]["status"]) == ("free", "revoked")


def test_a_cancelled_one_says_when_it_ends(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    body = apple.hand_in(apple.production.receipt_for("alice"), alice).get_json()
    assert body["tier"] == "pro"
    assert body["subscription"]["renews_at"] is None
    assert body["subscription"]["ends_at"] is not None


def test_an_expired_one_gives_nothing(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.app_store.advance(timedelta(days=40))
    body = apple.hand_in(apple.production.receipt_for("alice"), alice).get_json()
    assert (body["tier"], body["subscription"]["status"]) == ("free", "expired")


def test_the_sandbox_is_asked_when_production_says_so(apple: RunningApple) -> None:
    """21007 comes with an environment beside it, so the status alone is compared."""
    reviewer = apple.user(REVIEWER.partition("@")[0])
    apple.app_store.sandbox.store.subscribe("reviewer", PRO, apple.token(reviewer))
    receipt = apple.app_store.sandbox.receipt_for("reviewer")
    body = apple.hand_in(receipt, reviewer).get_json()
    assert (body["tier"], body["subscription"]["environment"]) == ("pro", "Sandbox")


def test_a_sandbox_receipt_of_an_ordinary_user_does_not_count(apple: RunningApple) -> None:
    alice = apple.user()
    apple.app_store.sandbox.store.subscribe("alice", PRO)
    assert error(apple.hand_in(apple.app_store.sandbox.receipt_for("alice"), alice)) == (403, "sandbox_purchase")


@pytest.mark.parametrize("status", [21005, 21009, 21100, 21150, 21199])
def test_when_apple_stumbles_the_tier_stays(apple: RunningApple, status: int) -> None:
    alice = apple.user()
    apple.buy_and_hand_in(alice)
    apple.production.faults.answer_receipts_with(status, times=2)
    answer = apple.hand_in(apple.production.receipt_for("alice"), alice)
    assert error(answer) == (503, "apple_unavailable")
    assert answer.headers["Retry-After"] == "30"
    assert apple.tier(alice) is Tier.PRO


@pytest.mark.parametrize("fault", ["http error", "hang up"])
def test_when_apple_is_down_the_tier_stays(apple: RunningApple, fault: str) -> None:
    alice = apple.user()
    apple.buy_and_hand_in(alice)
    faults = apple.production.faults
    if fault == "http error":
        faults.fail_receipts(503)
    else:
        faults.hang_up()
    assert error(apple.hand_in(apple.production.receipt_for("alice"), alice)) == (503, "apple_unavailable")
    assert apple.tier(alice) is Tier.PRO


def test_malformed_once_may_be_apples_fault(apple: RunningApple) -> None:
    alice = apple.user()
    apple.buy(alice)
    apple.production.faults.answer_receipts_with(21002)
    assert apple.hand_in(apple.production.receipt_for("alice"), alice).status_code == 200


@pytest.mark.parametrize(("status", "times"), [(21002, 2), (21003, 1), (21010, 1), (21000, 1)])
def test_what_apple_refuses_is_refused(apple: RunningApple, status: int, times: int) -> None:
    alice = apple.user()
    apple.production.faults.answer_receipts_with(status, times=times)
    assert error(apple.hand_in(base64.b64encode(b"receipt").decode(), alice)) == (400, "receipt_not_valid")
    assert asked(apple) == [0, 0]


def test_a_wrong_shared_secret_is_the_operators_fault(apple: RunningApple) -> None:
    alice = apple.user()
    apple.buy(alice)
    apple.production.faults.answer_receipts_with(21004)
    assert error(apple.hand_in(apple.production.receipt_for("alice"), alice)) == (502, "apple_misconfigured")
    assert apple.counted("apple_refuses_us") == 1


def test_a_receipt_of_another_app_is_refused(apple: RunningApple) -> None:
    alice = apple.user()
    apple.buy(alice)
    receipt = apple.production.receipt_for("alice")
    apple.production.faults.receipts.append(another_apps_answer(apple, receipt))
    assert error(apple.hand_in(receipt, alice)) == (400, "receipt_not_valid")
    assert apple.subscriptions() == []


def another_apps_answer(apple: RunningApple, receipt: str) -> Reply:
    """What verifyReceipt says of a genuine receipt that another app's customer has."""
    body = json.dumps({"receipt-data": receipt, "password": apple.app_store.app.shared_secret}).encode()
    answer: Any = apple.production.answer(Request("POST", "/verifyReceipt", {}, {}, body)).body
    return Reply(200, {**answer, "receipt": {**answer["receipt"], "bundle_id": "com.example.other"}})


@pytest.mark.parametrize("answer", [{"status": 0}, {"status": "0"}, {}, {"status": 0, "receipt": "text"}])
def test_an_answer_that_cannot_be_read_is_no_verdict(apple: RunningApple, answer: dict[str, object]) -> None:
    apple.production.faults.receipts.append(Reply(200, answer))
    found = apple.hand_in(base64.b64encode(b"receipt").decode(), apple.user())
    assert error(found) == (503, "apple_unavailable")
    assert apple.subscriptions() == []


@pytest.mark.parametrize("receipt", ["not base64!", "a.b", "ümlaut", "====", "e30.e30.e30", "..", "a.b.c"])
def test_what_is_no_receipt_never_reaches_apple(apple: RunningApple, receipt: str) -> None:
    apple.production.faults.answer_receipts_with(0)
    assert error(apple.hand_in(receipt, apple.user())) == (400, "receipt_not_valid")
    assert asked(apple) == [1, 0]


@pytest.mark.parametrize("receipt", ["", None, 7, {"receipt": "nested"}, ["list"]])
def test_what_is_no_text_is_named(apple: RunningApple, receipt: object) -> None:
    apple.production.faults.answer_receipts_with(0)
    answer = apple.post("/apple/validate-receipt", {"receipt_data": receipt}, apple.user())
    assert error(answer) == (422, "validation_failed")
    assert answer.get_json()["errors"][0]["pointer"] == "/receipt_data"
    assert asked(apple) == [1, 0]


def test_a_large_receipt_is_taken_and_a_huge_one_is_not(apple: RunningApple) -> None:
    alice = apple.user()
    apple.production.faults.answer_receipts_with(21003)
    large = base64.b64encode(bytes(1_000_000)).decode()
    assert error(apple.hand_in(large, alice)) == (400, "receipt_not_valid")
    huge = base64.b64encode(bytes(7_500_000)).decode()
    assert error(apple.hand_in(huge, alice)) == (413, "body_too_large")


def test_a_huge_signed_transaction_is_refused_unread(apple: RunningApple) -> None:
    claims = to_base64url(bytes(200_000))
    assert error(apple.hand_in(f"{claims}.{claims}.{claims}", apple.user())) == (400, "receipt_not_valid")


def test_a_receipt_of_somebody_elses_purchase_is_refused(apple: RunningApple) -> None:
    alice, bob = apple.user("alice"), apple.user("bob")
    apple.buy(alice)
    assert error(apple.hand_in(apple.production.receipt_for("alice"), bob)) == (409, "receipt_in_use")


def test_a_receipt_without_a_purchase_gives_nothing(apple: RunningApple) -> None:
    receipt = apple.production.receipt_for("nobody")
    assert error(apple.hand_in(receipt, apple.user())) == (400, "no_subscription")


def test_with_a_key_and_no_shared_secret_the_server_api_is_asked(make_apple: MakeApple) -> None:
    apple = make_apple(legacy=False)
    alice = apple.user()
    apple.buy(alice)
    assert apple.hand_in(apple.production.receipt_for("alice"), alice).get_json()["tier"] == "pro"


def test_the_server_api_finds_sandbox_purchases_too(make_apple: MakeApple) -> None:
    apple = make_apple(legacy=False, production=False)
    alice = apple.user()
    apple.app_store.sandbox.store.subscribe("alice", PRO, apple.token(alice))
    assert apple.hand_in(apple.app_store.sandbox.receipt_for("alice"), alice).get_json()["tier"] == "pro"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (4290000, (503, "apple_unavailable")),
        (5000000, (503, "apple_unavailable")),
        (4040002, (503, "apple_unavailable")),
    ],
)
def test_when_the_server_api_stumbles_nothing_is_decided(
    make_apple: MakeApple, code: int, expected: tuple[int, str]
) -> None:
    apple = make_apple(legacy=False)
    alice = apple.user()
    apple.buy(alice)
    apple.production.faults.fail_api(code)
    assert error(apple.hand_in(apple.production.receipt_for("alice"), alice)) == expected


def test_a_key_that_apple_refuses_is_the_operators_fault(make_apple: MakeApple) -> None:
    apple = make_apple(legacy=False)
    alice = apple.user()
    apple.buy(alice)
    apple.production.faults.refuse_api_sign_in()
    assert error(apple.hand_in(apple.production.receipt_for("alice"), alice)) == (502, "apple_misconfigured")


def test_without_any_secret_old_receipts_are_refused(make_apple: MakeApple) -> None:
    apple = make_apple(legacy=False, api=False)
    alice = apple.user()
    apple.buy(alice)
    assert error(apple.hand_in(apple.production.receipt_for("alice"), alice)) == (400, "receipt_not_valid")
