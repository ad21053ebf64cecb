"""The deprecated verifyReceipt, at the host of each environment."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from appstoreserverlibrary.receipt_utility import ReceiptUtility

from sandbox.apple_server.server import AppleHost, AppleServer

PRO, ENTERPRISE = "com.mirroros.pro.monthly", "com.mirroros.enterprise.monthly"


@pytest.fixture
def apple() -> Iterator[AppleServer]:
    server = AppleServer()
    server.start()
    yield server
    server.stop()


def verify(apple: AppleServer, receipt: object, host: AppleHost | None = None, **more: object) -> dict[str, Any]:
    body = {"receipt-data": receipt, "password": apple.app.shared_secret, **more}
    return post(host or apple.production, body)


def post(host: AppleHost, body: object) -> dict[str, Any]:
    answer = requests.post(host.verify_receipt_url, json=body, timeout=5)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_a_receipt_shows_the_purchase(apple: AppleServer) -> None:
    token = uuid4()
    bought = apple.production.store.subscribe("alice", PRO, token)

    answer = verify(apple, apple.production.receipt_for("alice"))

    [purchase] = answer["latest_receipt_info"]
    assert (answer["status"], answer["receipt"]["bundle_id"]) == (0, apple.app.bundle_id)
    assert purchase["original_transaction_id"] == bought.original_transaction_id
    assert purchase["app_account_token"] == str(token)
    assert purchase["expires_date_ms"] == str(int(bought.latest.expires_at.timestamp() * 1000))
    assert answer["pending_renewal_info"][0]["auto_renew_status"] == "1"


def test_apples_library_finds_a_transaction_id_in_the_receipt(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)

    found = ReceiptUtility().extract_transaction_id_from_app_receipt(apple.production.receipt_for("alice"))

    assert found == bought.original_transaction_id


def test_a_receipt_without_purchases_is_good_and_empty(apple: AppleServer) -> None:
    answer = verify(apple, apple.production.receipt_for("bob"))

    assert (answer["status"], answer["latest_receipt_info"]) == (0, [])


def test_a_sandbox_receipt_at_production_is_21007(apple: AppleServer) -> None:
    apple.sandbox.store.subscribe("alice", PRO)
    receipt = apple.sandbox.receipt_for("alice")

    assert verify(apple, receipt)["status"] == 21007
    assert verify(apple, receipt, apple.sandbox)["status"] == 0


def test_a_production_receipt_at_the_sandbox_is_21008(apple: AppleServer) -> None:
    assert verify(apple, apple.production.receipt_for("alice"), apple.sandbox)["status"] == 21008


def test_a_receipt_of_elsewhere_is_not_authentic(apple: AppleServer) -> None:
    assert verify(apple, AppleServer().production.receipt_for("mallory"))["status"] == 21003


def test_a_missing_password_is_not_authentic(apple: AppleServer) -> None:
    assert post(apple.production, {"receipt-data": apple.production.receipt_for("alice")})["status"] == 21003


def test_a_wrong_password_is_21004(apple: AppleServer) -> None:
    assert verify(apple, apple.production.receipt_for("alice"), password="wrong")["status"] == 21004


@pytest.mark.parametrize("receipt", ["", "not base64!", 7, None, {"a": 1}, ["x"]])
def test_a_receipt_that_is_no_base64_is_malformed(apple: AppleServer, receipt: object) -> None:
    assert verify(apple, receipt)["status"] == 21002


def test_a_body_that_is_no_object_is_malformed(apple: AppleServer) -> None:
    assert post(apple.production, ["receipt"])["status"] == 21002


def test_only_post_is_answered(apple: AppleServer) -> None:
    assert requests.get(apple.production.verify_receipt_url, timeout=5).json()["status"] == 21000


@pytest.mark.parametrize("status", [21002, 21003, 21004, 21005, 21006, 21009, 21010])
def test_any_status_can_be_had_on_demand_and_the_truth_follows(apple: AppleServer, status: int) -> None:
    receipt = apple.production.receipt_for("alice")
    apple.production.faults.answer_receipts_with(status, times=2)

    assert [verify(apple, receipt)["status"] for _ in range(3)] == [status, status, 0]


@pytest.mark.parametrize("retryable", [True, False])
def test_an_internal_status_says_whether_to_retry(apple: AppleServer, retryable: bool) -> None:
    apple.production.faults.answer_receipts_with(21150, retryable=retryable)

    assert verify(apple, "cmVjZWlwdA==") == {"status": 21150, "is-retryable": retryable}


def test_an_http_error_is_no_json(apple: AppleServer) -> None:
    apple.production.faults.fail_receipts(503)

    answer = requests.post(apple.production.verify_receipt_url, json={}, timeout=5)

    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/plain")


def test_a_stalled_answer_runs_into_the_callers_timeout(apple: AppleServer) -> None:
    apple.production.faults.stall(seconds=30)

    with pytest.raises(requests.ReadTimeout):
        requests.post(apple.production.verify_receipt_url, json={}, timeout=0.05)


def test_periods_come_unsorted(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.advance(timedelta(days=95))

    periods = [
        int(p["expires_date_ms"]) for p in verify(apple, apple.production.receipt_for("alice"))["latest_receipt_info"]
    ]

    assert len(periods) == len(bought.transactions)
    assert max(periods) not in (periods[0], periods[-1])


def test_old_transactions_can_be_left_out(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.advance(timedelta(days=95))

    body = {"receipt-data": apple.production.receipt_for("alice"), "password": apple.app.shared_secret}
    answer = post(apple.production, {**body, "exclude-old-transactions": True})

    assert [period["transaction_id"] for period in answer["latest_receipt_info"]] == [bought.latest.transaction_id]


def test_an_old_receipt_shows_what_was_bought_since(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    receipt = apple.production.receipt_for("alice")
    apple.advance(timedelta(days=32))

    answer = verify(apple, receipt)

    assert len(answer["receipt"]["in_app"]) == 1
    assert bought.latest.transaction_id in [period["transaction_id"] for period in answer["latest_receipt_info"]]


def test_an_expired_subscription_has_status_0(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.advance(timedelta(days=32))

    answer = verify(apple, apple.production.receipt_for("alice"))

    assert answer["status"] == 0
    assert answer["pending_renewal_info"][0]["expiration_intent"] == "1"


def test_a_refund_is_a_cancellation(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.production.store.refund(bought.latest.transaction_id, reason=1)

    [refunded] = verify(apple, apple.production.receipt_for("alice"))["latest_receipt_info"]

    assert refunded["cancellation_reason"] == "1" and refunded["cancellation_date_ms"].isdecimal()
    assert "is_upgraded" not in refunded


def test_an_upgrade_is_a_cancellation_too_and_marked(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.production.store.change_product(bought.original_transaction_id, ENTERPRISE)

    periods = verify(apple, apple.production.receipt_for("alice"))["latest_receipt_info"]

    assert {period["product_id"]: period.get("is_upgraded") for period in periods} == {PRO: "true", ENTERPRISE: None}


def test_a_grace_period_is_in_the_pending_renewal(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.production.store.grace_period = timedelta(days=16)
    apple.production.store.break_card(bought.original_transaction_id)
    ends_at = bought.latest.expires_at + timedelta(days=16)
    apple.advance(timedelta(days=32))

    [pending] = verify(apple, apple.production.receipt_for("alice"))["pending_renewal_info"]

    assert pending["grace_period_expires_date_ms"] == str(int(ends_at.timestamp() * 1000))
    assert (pending["is_in_billing_retry_period"], pending["expiration_intent"]) == ("1", "2")


def test_a_stopped_server_is_silent_even_to_who_kept_a_connection_and_comes_back_with_its_books(
    apple: AppleServer,
) -> None:
    body = {"receipt-data": apple.production.receipt_for("alice"), "password": apple.app.shared_secret}
    url = apple.production.verify_receipt_url
    with requests.Session() as caller:
        assert caller.post(url, json=body, timeout=5).json()["status"] == 0
        apple.stop()
        with pytest.raises(requests.ConnectionError):
            caller.post(url, json=body, timeout=5)
        apple.start()
        assert caller.post(url, json=body, timeout=5).json()["status"] == 0
    assert apple.production.verify_receipt_url == url
