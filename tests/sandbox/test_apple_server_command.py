"""`python -m sandbox.apple_server`: the App Store as a process of its own, moved through its controls."""

import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier

PRO = "com.mirroros.pro.monthly"


@dataclass(frozen=True)
class Running:
    facts: dict[str, str]
    keys: Path

    def control(self, action: str, **fields: object) -> requests.Response:
        return requests.post(f"{self.facts['production']}/controls/{action}", json=fields, timeout=5)

    def act(self, action: str, **fields: object) -> dict[str, Any]:
        answer = self.control(action, **fields)
        assert answer.status_code == 200, answer.text
        described: dict[str, Any] = answer.json()
        return described


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    keys = tmp_path_factory.mktemp("apple")
    command = [sys.executable, "-m", "sandbox.apple_server", "--keys", str(keys)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = dict(process.stdout.readline().rstrip("\n").split(": ", 1) for _ in range(7))
        yield Running(facts, keys)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_a_purchase_through_the_controls_verifies_under_the_written_root(running: Running) -> None:
    bought = running.act("subscribe", customer="alice", product_id=PRO)
    root = (running.keys / "root_certificate.der").read_bytes()
    bundle_id, app_apple_id = running.facts["bundle id"], int(running.facts["app Apple id"])
    verifier = SignedDataVerifier([root], False, Environment.PRODUCTION, bundle_id, app_apple_id)

    assert verifier.verify_and_decode_signed_transaction(bought["signed_transaction"]).productId == PRO


def test_the_receipt_of_the_controls_is_good(running: Running) -> None:
    bought = running.act("subscribe", customer="bob", product_id=PRO)
    body = {"receipt-data": bought["receipt"], "password": (running.keys / "shared_secret").read_text()}

    assert requests.post(running.facts["production"] + "/verifyReceipt", json=body, timeout=5).json()["status"] == 0


def test_time_and_refunds_are_in_the_controls(running: Running) -> None:
    bought = running.act("subscribe", customer="carol", product_id=PRO)
    original = bought["original_transaction_id"]

    running.act("advance", days=32)
    renewed = running.act("show", original_transaction_id=original)
    refunded = running.act("refund", transaction_id=renewed["transaction_id"])

    assert renewed["transaction_id"] != original
    assert refunded["status"] == "revoked"


def test_a_child_a_price_and_a_grace_are_in_the_controls(running: Running) -> None:
    asked = running.act("ask-to-buy", customer="dave", product_id=PRO)
    assert "now" in running.act("answer-request", request=asked["request"], approved=False)
    asked = running.act("ask-to-buy", customer="dave", product_id=PRO)
    bought = running.act("answer-request", request=asked["request"], approved=True)
    named = {"original_transaction_id": bought["original_transaction_id"]}

    assert named["original_transaction_id"] in running.act("raise-price", product_id=PRO, price=12_990)["asked"]
    assert running.act("agree-to-price", **named)["status"] == "active"
    running.act("set-grace-period", days=16)
    running.act("break-card", **named)
    running.act("advance", days=32)
    assert running.act("show", **named)["status"] == "grace_period"
    running.act("set-grace-period", days=0)
    assert running.act("extend", days=3, **named)["expires_at"] > bought["expires_at"]
    token = "7a6c3b0e-6f4b-4a1e-9a53-0d3f4c5b6a79"
    assert running.act("set-account-token", account_token=token, **named)["status"] == "grace_period"
    assert running.act("refund", transaction_id=bought["transaction_id"], percentage=25_000)["status"] == "revoked"


@pytest.mark.parametrize("forgery", ["foreign root", "HS256", "backdated", "forged inside"])
def test_forgeries_are_in_the_controls(running: Running, forgery: str) -> None:
    bought = running.act("subscribe", customer=f"mallory {forgery}", product_id=PRO)
    fields = {"type": "DID_RENEW"} if forgery == "forged inside" else {}
    forged = running.act("forge", forgery=forgery, transaction_id=bought["transaction_id"], **fields)

    assert forged["signed"].count(".") == 2
    assert forged["signed"] != bought["signed_transaction"]


@pytest.mark.parametrize(
    ("trouble", "value", "path", "seen"),
    [
        ("receipt-status", 21_005, "/verifyReceipt", {"status": 21_005}),
        ("receipt-http-status", 503, "/verifyReceipt", 503),
        ("api-error", 4_290_000, "/inApps/v1/transactions/1", 429),
        ("api-sign-in", None, "/inApps/v1/transactions/1", 401),
    ],
)
def test_faults_are_in_the_controls(running: Running, trouble: str, value: int | None, path: str, seen: object) -> None:
    running.act("fault", trouble=trouble, value=value)
    method = "POST" if path == "/verifyReceipt" else "GET"
    answer = requests.request(method, running.facts["production"] + path, json={}, timeout=5)
    running.act("fault", trouble="none")

    assert (answer.json() if isinstance(seen, dict) else answer.status_code) == seen


def test_notifications_can_be_lost_and_made_up(running: Running) -> None:
    bought = running.act("subscribe", customer="erin", product_id=PRO)
    original = bought["original_transaction_id"]
    assert running.act("drop-notifications", count=1)["dropped"] == 1
    assert running.act("set-copies", copies=2) == {"copies": 2}
    news = running.act("notify", original_transaction_id=original, type="SOMETHING_NEW", subtype="STRANGE")

    assert news["signed_payload"].count(".") == 2


@pytest.mark.parametrize(
    ("action", "fields", "status"),
    [
        ("subscribe", {"customer": "mallory"}, 400),
        ("subscribe", {"customer": "mallory", "product_id": PRO, "account_token": "no-uuid"}, 400),
        ("subscribe", {"customer": "mallory", "product_id": "com.example.other"}, 409),
        ("show", {"original_transaction_id": "1"}, 409),
        ("forge", {"forgery": "foreign root", "transaction_id": "1"}, 409),
        ("fault", {"trouble": "stall"}, 400),
        ("fault", {"trouble": "earthquake"}, 400),
        ("resend", {"notification": "1"}, 400),
        ("answer-request", {"request": "1", "approved": True}, 409),
        ("juggle", {}, 404),
    ],
)
def test_a_control_that_cannot_be_followed_is_refused(
    running: Running, action: str, fields: dict[str, object], status: int
) -> None:
    assert running.control(action, **fields).status_code == status


@pytest.mark.parametrize("name", ["server_api_key.p8", "shared_secret", "settings.json"])
def test_secrets_are_for_their_owner_only(running: Running, name: str) -> None:
    assert stat.S_IMODE((running.keys / name).stat().st_mode) == 0o600
