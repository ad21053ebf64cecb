"""PostgreSQL refuses, is silent or is gone when a call is written down: what the client is told, and what is given back."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg2
import pytest

from examples.private_server.switches import Fault, Switches
from metering.breaker import Breaker, BreakerRules, BreakerState
from tests.gateway.running_gateway import RunningGateway, running_gateway
from tests.metering.limit_backends import eventually
from tests.metric_values import rising

WAITING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'mirroros-test' AND wait_event_type = 'Lock'"


@pytest.fixture
def gateway(database_url: str) -> Iterator[RunningGateway]:
    with running_gateway(
        database_url, breaker=Breaker(BreakerRules(least_calls=1, users=1)), settle_seconds=0.05
    ) as running:
        yield running


@contextmanager
def log_is_locked(url: str) -> Iterator[None]:
    """Meanwhile nothing can be written into prediction_requests."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE request_logs IN ACCESS EXCLUSIVE MODE")
        yield


def test_a_failure_that_cannot_be_written_down_keeps_its_own_answer(gateway: RunningGateway) -> None:
    change(gateway, "ALTER TABLE request_logs ADD CHECK (success)")
    gateway.private.switches = Switches(Fault.STATUS, status=500)
    answer = gateway.ask()
    assert (answer.status_code, answer.get_json()["error"]) == (502, "prediction_failed")
    assert (gateway.requests(), gateway.reserved()) == ([], 0)
    assert gateway.proxy.calls.breaker.state() is BreakerState.OPEN


def test_a_failure_is_told_while_postgresql_is_silent(gateway: RunningGateway) -> None:
    gateway.private.switches = Switches(Fault.STATUS, status=500)
    with log_is_locked(gateway.url):
        assert gateway.ask().status_code == 502
        assert gateway.rows(WAITING)  # so nobody waited until this ended
        assert gateway.proxy.calls.bulkhead.taken == 0
    assert gateway.reserved() == 0


@pytest.mark.parametrize("key", [None, "goal-1"])
def test_a_prediction_that_was_surely_not_recorded_leaves_nothing_taken(database_url: str, key: str | None) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"postgresql://127.0.0.1:{unused.getsockname()[1]}/none"
        with running_gateway(database_url, settle_url=nowhere, settle_seconds=0.05) as gateway:
            with rising(mirroros_usage_not_recorded_total={'kind="call"': 1, 'kind="failure"': 1}):
                answer = gateway.ask(key=key)
            assert (answer.status_code, answer.get_json()["error"]) == (503, "service_unavailable")
            assert "Retry-After" in answer.headers
            assert (gateway.used(), gateway.reserved(), gateway.requests()) == (0, 0, [])
            assert gateway.rows("SELECT 1 FROM idempotency_keys") == []


def test_a_prediction_that_may_have_been_recorded_keeps_its_place_and_its_key(gateway: RunningGateway) -> None:
    gateway.ask()  # so that the writer's connection is open
    with ThreadPoolExecutor(1) as threads, log_is_locked(gateway.url):
        asked = threads.submit(gateway.ask, key="goal-1")
        eventually(lambda: gateway.rows(WAITING))
        gateway.rows(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS waiting")
        assert asked.result().status_code == 503
        assert gateway.reserved() == 1
        assert gateway.ask(key="goal-1").get_json()["error"] == "request_still_running"


def change(gateway: RunningGateway, statement: str) -> None:
    with closing(psycopg2.connect(gateway.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
