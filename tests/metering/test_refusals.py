"""A refusal by the limits costs next to nothing: no key is claimed for it, and one row a minute says that it happened."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from auth.tiers import Tier
from examples.private_server.switches import Fault, Switches
from metering.breaker import Breaker
from metering.sampled_refusals import SampledRefusals
from tests.gateway.running_gateway import PLANS, QUESTION, RunningGateway, running_gateway

REFUSALS = 200
MOST_WAL_BYTES = 24 * 1024
"""Sixty refusals wrote as much when each claimed its key and gave it back."""


@pytest.fixture(params=["redis", "postgres"])
def gateway(request: pytest.FixtureRequest, database_url: str) -> Iterator[RunningGateway]:
    redis_url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    plans = {**PLANS, Tier.FREE: replace(PLANS[Tier.FREE], per_day=2, failures_per_hour=2)}
    with running_gateway(database_url, redis_url=redis_url, plans=plans) as running:
        yield running


@pytest.fixture(autouse=True)
def _one_minute() -> None:
    """The minute must not end while a test counts in it."""
    if (left := 60 - time.time() % 60) < 5:
        time.sleep(left)


def wal_position(gateway: RunningGateway) -> int:
    (row,) = gateway.rows("SELECT pg_current_wal_lsn() - '0/0' AS bytes")
    return int(row["bytes"])


def use_up_the_day(gateway: RunningGateway) -> None:
    assert [gateway.ask(key=f"goal-{number}").status_code for number in (1, 2)] == [200, 200]


def test_two_hundred_refusals_with_new_keys_write_one_row(gateway: RunningGateway) -> None:
    use_up_the_day(gateway)
    for _ in range(3):  # now and then PostgreSQL writes for itself
        before = wal_position(gateway)
        statuses = {gateway.ask(key=str(uuid.uuid4())).status_code for _ in range(REFUSALS)}
        written = wal_position(gateway) - before
        assert statuses == {429}
        if written < MOST_WAL_BYTES:
            break
    assert len(gateway.rows("SELECT 1 FROM idempotency_keys")) == 2
    (row,) = gateway.refusals()
    assert (row["error_code"], row["status"], row["success"], row["upstream_ms"]) == ("limit_day", 429, False, 0)
    assert (row["user_id"], row["tier"]) == (str(gateway.alice), "free")
    assert written < MOST_WAL_BYTES


def test_each_policy_and_each_user_has_a_row(gateway: RunningGateway) -> None:
    gateway.private.switches = Switches(Fault.STATUS)
    for _ in range(5):
        gateway.ask()
    gateway.private.switches = Switches()
    bob = uuid.uuid4()
    assert [gateway.ask(user=bob).status_code for _ in range(5)] == [200] * 2 + [429] * 3
    assert [(row["user_id"], row["error_code"]) for row in gateway.refusals()] in (
        [(str(gateway.alice), "limit_failures"), (str(bob), "limit_day")],
        [(str(bob), "limit_day"), (str(gateway.alice), "limit_failures")],
    )
    assert {row["used"] for row in gateway.rows("SELECT used FROM usage_counters")} == {2}


def test_the_stored_answer_is_given_although_the_day_is_used_up(gateway: RunningGateway) -> None:
    use_up_the_day(gateway)
    again = gateway.ask(key="goal-1")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert gateway.ask({**QUESTION, "context": "another"}, key="goal-1").get_json()["error"] == "idempotency_key_reused"
    assert (gateway.used(), gateway.private.seen.predictions, gateway.reserved()) == (2, 2, 0)


def test_the_stored_answer_is_given_while_the_breaker_is_open(database_url: str) -> None:
    with running_gateway(database_url, breaker=Breaker()) as gateway:
        first = gateway.ask(key="goal-1")
        gateway.private.switches = Switches(Fault.STATUS)
        for _ in range(10):
            gateway.ask(user=uuid.uuid4())
        assert gateway.ask(key="goal-2").status_code == 503
        assert gateway.ask(key="goal-1").get_data() == first.get_data()
        assert len(gateway.rows("SELECT 1 FROM idempotency_keys")) == 1


def test_all_processes_name_one_minutes_row_alike(gateway: RunningGateway) -> None:
    now = gateway.proxy.calls.clock()
    one, other = (SampledRefusals().sample(gateway.alice, "predict", "day", now) for _ in range(2))
    assert one is not None
    assert (one, one.version, one.variant) == (other, 7, uuid.RFC_4122)
    assert SampledRefusals().sample(gateway.alice, "predict", "burst", now) != one
    assert (one.int >> 80) // 60_000 == int(now.timestamp()) // 60
