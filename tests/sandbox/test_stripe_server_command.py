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
        f"{tier}_{cycle}" for tier in ("pro", "enterprise") for cycle in ("monthly", "yearly")
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


def test_the_books_outlive_the_process(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        path = f"/v1/subscriptions/{first.subscribed()[1]}"
        before = first.get(path).json()
    with started(tmp_path) as second:
        after = second.get(path).json()

    assert before["status"] == "active"
    assert after == before
