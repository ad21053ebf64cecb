"""No receipt, signed data or secret shows in a log, an answer or a table, whatever goes wrong."""

import uuid

import pytest

from security.logs.log import configure_logging
from tests.payments.apple_app import PRO, RunningApple


@pytest.fixture
def alice(apple: RunningApple) -> uuid.UUID:
    return apple.user("alice")


def parts_of(signed: str) -> list[str]:
    return [part for part in signed.split(".") if len(part) > 20]


def test_nothing_leaks(apple: RunningApple, alice: uuid.UUID, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG")
    bob = apple.user("bob")
    bought = apple.buy(alice)
    signed, receipt = apple.signed(bought), apple.production.receipt_for("alice")
    payload = apple.production.store.signer.transaction_payload(bought.latest)
    forged = apple.app_store.forger.foreign_root(payload)
    answers = [apple.hand_in(each, user).text for each in (signed, receipt, forged) for user in (alice, bob)]
    for status in (21003, 21004, 21005):
        apple.production.faults.answer_receipts_with(status, times=2)
        answers.append(apple.hand_in(receipt, alice).text)
        apple.production.faults.clear()
    apple.production.faults.fail_receipts(500)
    answers.append(apple.hand_in(receipt, alice).text)
    apple.production.store.subscribe("mallory", PRO)
    apple.deliver()
    answers.append(apple.post("/apple/notifications", {"signedPayload": forged}).text)
    apple.production.faults.fail_api(5000000)
    answers.append(apple.cli("reconcile").output)
    answers += [apple.cli(command).output for command in ("events", "counts")]

    output = capfd.readouterr()
    everything = "\n".join([*answers, output.out, output.err])
    assert "apple_forgery_refused" in everything
    secrets = [*parts_of(signed), *parts_of(forged), receipt[:60], receipt[-60:], apple.app_store.app.shared_secret]
    secrets += [line for line in apple.app_store.api_key.p8.decode().splitlines() if "-----" not in line]
    assert [secret[:12] for secret in secrets if secret in everything] == []
    kept = str([apple.subscriptions(), apple.query("SELECT * FROM entitlement_ledger")])
    assert [secret[:12] for secret in secrets if secret in kept] == []
