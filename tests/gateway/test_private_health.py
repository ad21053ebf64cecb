"""GET /api/gateway/predict/health: a cached probe, asked by one at a time, and never a prediction."""

import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from examples.private_server.switches import Fault, Switches
from metering.breaker import Breaker
from tests.gateway.running_gateway import RunningGateway, running_gateway


@pytest.fixture
def gateway(database_url: str) -> Iterator[RunningGateway]:
    with running_gateway(database_url, breaker=Breaker()) as running:
        yield running


def health(gateway: RunningGateway) -> dict[str, object]:
    answer = gateway.app.test_client().get("/api/gateway/predict/health")
    assert answer.status_code == 200
    found: dict[str, object] = answer.get_json()
    assert set(found) == {"status", "checked_at", "latency_ms", "breaker"}
    return found


def test_a_private_server_that_answers_is_up(gateway: RunningGateway) -> None:
    found = health(gateway)
    assert (found["status"], found["breaker"]) == ("up", "closed")
    assert gateway.private.seen.predictions == 0


def test_many_who_ask_are_one_probe(gateway: RunningGateway) -> None:
    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(lambda _: health(gateway)["status"], range(100)))
    assert set(found) <= {"up", "unknown"}
    assert gateway.private.seen.health_checks == 1


def test_after_ten_seconds_it_is_asked_again(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    health(gateway)
    now = time.monotonic()
    monkeypatch.setattr("gateway.private_server.health.monotonic", lambda: now + 9)
    health(gateway)
    assert gateway.private.seen.health_checks == 1
    monkeypatch.setattr("gateway.private_server.health.monotonic", lambda: now + 11)
    health(gateway)
    assert gateway.private.seen.health_checks == 2


def test_one_that_answers_but_failed_predictions_is_degraded(gateway: RunningGateway) -> None:
    gateway.private.switches = Switches(Fault.STATUS, status=500)
    for user in [uuid.uuid4() for _ in range(5)] * 2:
        assert gateway.ask(user=user).status_code == 502
    refused = gateway.ask()
    assert (refused.status_code, refused.get_json()["error"]) == (503, "service_unavailable")
    assert refused.get_json()["type"].endswith("#temporary-reduced-capacity")
    assert (gateway.private.seen.predictions, gateway.reserved(), gateway.used()) == (10, 0, 0)
    found = health(gateway)
    assert (found["status"], found["breaker"]) == ("degraded", "open")


def test_one_that_cannot_be_reached_is_down_and_nothing_else_is_told(database_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with running_gateway(database_url, private_url=address) as gateway:
            assert health(gateway)["status"] == "down"
