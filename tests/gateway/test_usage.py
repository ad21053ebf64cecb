"""GET /api/gateway/predict/usage: what is used and what is left, and it costs nothing to ask."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from auth.tiers import Tier
from tests.gateway.running_gateway import RunningGateway, running_gateway


@pytest.fixture
def gateway(database_url: str) -> Iterator[RunningGateway]:
    with running_gateway(database_url) as running:
        yield running


def test_who_has_used_nothing_has_all(gateway: RunningGateway) -> None:
    usage = gateway.get("/predict/usage").get_json()
    assert (usage["tier"], usage["used"], usage["limit"], usage["remaining"]) == ("free", 0, 5, 5)
    assert usage["date"] == datetime.now(UTC).date().isoformat()
    assert usage["resets_at"].endswith("T00:00:00Z")


def test_what_was_delivered_is_used(gateway: RunningGateway) -> None:
    gateway.ask()
    gateway.ask()
    usage = gateway.get("/predict/usage").get_json()
    assert (usage["used"], usage["remaining"]) == (2, 3)
    assert (usage["burst"]["limit"], usage["burst"]["window_seconds"]) == (1000, 60)
    assert 998 <= usage["burst"]["remaining"] <= 1000  # one comes back every 60 ms
    assert usage["concurrency"]["remaining"] == 1000


def test_an_unlimited_plan_says_null_and_what_was_used(gateway: RunningGateway) -> None:
    gateway.ask(tier=Tier.ENTERPRISE)
    usage = gateway.get("/predict/usage", tier=Tier.ENTERPRISE).get_json()
    assert (usage["used"], usage["limit"], usage["remaining"]) == (1, None, None)


def test_asking_costs_nothing(gateway: RunningGateway) -> None:
    for _ in range(10):
        assert gateway.get("/predict/usage").status_code == 200
    assert (gateway.used(), gateway.requests(), gateway.private.seen.predictions) == (0, [], 0)


def test_who_is_not_signed_in_gets_401(gateway: RunningGateway) -> None:
    assert gateway.app.test_client().get("/api/gateway/predict/usage").status_code == 401
