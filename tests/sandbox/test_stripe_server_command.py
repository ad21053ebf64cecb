"""`python -m sandbox.stripe_server`: a process of its own, moved through its controls, with books that last."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.stripe_account import PRO


@dataclass(frozen=True)
class Running:
    url: str
    keys: Path

    def get(self, path: str) -> requests.Response:
        key = (self.keys / "secret_key").read_text()
        return requests.get(self.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=5)

    def control(self, action: str, **fields: object) -> requests.Response:
        return requests.post(f"{self.url}/controls/{action}", json=fields, timeout=5)

    def subscribed(self) -> tuple[str, str]:
        """The ids of a customer who bought, and of the subscription."""
        http_client = stripe.RequestsClient(timeout=10)
        key = (self.keys / "secret_key").read_text()
        client = stripe.StripeClient(key, base_addresses={"api": self.url}, http_client=http_client)
        customer = client.v1.customers.create({"email": "alice@example.com"}).id
        bought = client.v1.subscriptions.create({"customer": customer, "items": [{"price": PRO}]})
        http_client.close()  # type: ignore[no-untyped-call]
        return customer, bought.id


@contextmanager
def started(folder: Path) -> Iterator[Running]:
    command = [sys.executable, "-m", "sandbox.stripe_server"]
    options = ["--keys", str(folder), "--books", str(folder / "books.json")]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STRIPE_")}
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        facts = dict(process.stdout.readline().rstrip("\n").split(": ", 1) for _ in range(2))
        yield Running(facts["api"], Path(facts["keys"]))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(tmp_path_factory.mktemp("stripe")) as process:
        yield process


def test_the_prices_of_the_plans_are_there(running: Running) -> None:
    prices = running.get("/v1/prices?limit=10").json()["data"]

    assert {price["lookup_key"] for price in prices} == {
        f"{tier}_{cycle}" for tier in ("plus", "pro", "team", "enterprise") for cycle in ("monthly", "yearly")
    }


def test_time_and_cards_are_in_the_controls(running: Running) -> None:
    customer, subscription = running.subscribed()
    running.control("set-card", customer=customer, card="declined")
    running.control("advance", days=32)

    assert running.get(f"/v1/subscriptions/{subscription}").json()["status"] == "past_due"


def test_refunds_and_disputes_are_in_the_controls(running: Running) -> None:
    running.subscribed()
    charge = running.get("/v1/charges?limit=1").json()["data"][0]["id"]

    assert running.control("refund", charge=charge, amount=100).json()["amount"] == 100
    dispute = running.control("dispute", charge=charge).json()
    assert running.control("close-dispute", dispute=dispute["id"], status="lost").json()["status"] == "lost"


def test_what_happens_at_stripe_is_in_the_controls(running: Running) -> None:
    customer, subscription = running.subscribed()

    def act(action: str, **fields: object) -> Any:
        answer = running.control(action, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert act("set-card", customer=customer, card="good", expires_in_days=1)["expires_at"]
    assert len(act("discount", subscription=subscription, percent_off=50, duration="forever")["discounts"]) == 1
    assert act("credit", customer=customer, amount=300)["ending_balance"] == -300
    assert act("change-price", subscription=subscription, price="price_enterprise_monthly", quantity=2)[
        "latest_invoice"
    ]
    assert act("cancel-at", subscription=subscription, in_days=45)["cancel_at"]
    assert act("subscribe", customer=customer, price=PRO, quantity=2)["status"] == "active"
    act("upcoming-invoice", subscription=subscription, older=True)
    act("upcoming-invoice", customer=customer)
    bill = running.get(f"/v1/invoices?limit=1&subscription={subscription}").json()["data"][0]
    refund = act("refund", invoice=bill["id"], amount=100)
    assert act("fail-refund", refund=refund["id"])["status"] == "failed"
    assert act("refuse-email", email="alice@example.con")["refused"] == ["alice@example.con"]
    assert act("add-price", product="prod_pro", price="price_2", amount=500, currency="eur")["currency"] == "eur"
    assert act("archive-price", price="price_2")["active"] is False
    act("set-card", customer=customer, card="declined")
    act("advance", days=40)
    debt = running.get("/v1/invoices?limit=1&status=open").json()["data"][0]["id"]
    assert act("delete-customer", customer=customer)["deleted"]
    assert act("pay-invoice", invoice=debt)["status"] == "paid"
    assert act("delivery", copies=2, at_once=4, order="shuffled") == {"copies": 2, "at_once": 4, "order": "shuffled"}
    assert running.get(f"/v1/subscriptions/{subscription}").json()["status"] == "canceled"


def test_the_mode_is_in_the_controls(tmp_path: Path) -> None:
    with started(tmp_path) as running:
        _, subscription = running.subscribed()
        assert running.control("switch-mode", secret_key="sk_live_1").json() == {"livemode": True}
        (running.keys / "secret_key").write_text("sk_live_1")

        assert running.get(f"/v1/subscriptions/{subscription}").status_code == 404
        assert running.get(f"/v1/prices/{PRO}").json()["livemode"] is True


def test_trouble_is_in_the_controls(running: Running) -> None:
    running.control("fault", trouble="rate_limit", times=1)

    assert [running.get("/v1/customers").status_code for _ in range(2)] == [429, 200]


@pytest.mark.parametrize(
    ("action", "fields", "status"),
    [
        ("set-card", {"customer": "cus_none", "card": "good"}, 409),
        ("refund", {}, 400),
        ("fault", {"trouble": "earthquake"}, 400),
        ("juggle", {}, 404),
    ],
)
def test_a_control_that_cannot_be_followed_is_refused(
    running: Running, action: str, fields: dict[str, object], status: int
) -> None:
    assert running.control(action, **fields).status_code == status


def test_keys_are_for_their_owner_only(running: Running) -> None:
    for name in ("secret_key", "webhook_secret"):
        assert stat.S_IMODE((running.keys / name).stat().st_mode) == 0o600


@pytest.mark.slow
def test_the_books_outlive_the_process(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        path = f"/v1/subscriptions/{first.subscribed()[1]}"
        before = first.get(path).json()
    with started(tmp_path) as second:
        after = second.get(path).json()

    assert before["status"] == "active"
    assert after == before
