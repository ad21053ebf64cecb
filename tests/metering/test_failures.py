"""Calls that fail cost nothing, so a user may have only so many of them in an hour."""

import random
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from auth.tiers import Tier
from examples.private_server.switches import Fault, Switches
from gateway.plan_limits import PREDICT_LIMITS
from metering.windows import hour_of
from tests.gateway.running_gateway import PLANS, RunningGateway, running_gateway
from tests.metering.limit_backends import Backend, backend, plan, somebody

FREE = replace(PREDICT_LIMITS[Tier.FREE], burst=1000)
LIMITED = {**PLANS, Tier.FREE: FREE}
MOST = 20 + 5 + 2
MIXTURE = (
    Switches(Fault.STATUS, status=500),
    Switches(Fault.STATUS, status=422),
    Switches(Fault.STATUS, status=429),
    Switches(Fault.NAN),
    Switches(Fault.HANG),
    Switches(Fault.CLOSE),
    Switches(Fault.BODY_CUT),
    Switches(Fault.STATUS, delay_seconds=0.05),
)


@pytest.fixture(autouse=True)
def _one_hour() -> None:
    """The hour must not end while a test counts in it."""
    now = datetime.now(UTC)
    left = (now + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0) - now
    if left < timedelta(seconds=40):
        threading.Event().wait(left.total_seconds() + 1)


@pytest.fixture(params=["redis", "postgres"])
def gateway(request: pytest.FixtureRequest, database_url: str) -> Iterator[RunningGateway]:
    redis_url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    with running_gateway(database_url, redis_url=redis_url, plans=LIMITED, timeout=1.0) as running:
        yield running


@pytest.fixture(params=["redis", "postgres"])
def limits(request: pytest.FixtureRequest, database_url: str) -> Iterator[Backend]:
    redis_url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    with backend(database_url, redis_url) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_no_mixture_of_failures_causes_more_calls_than_the_plan_allows(gateway: RunningGateway, seed: int) -> None:
    chosen = random.Random(seed)
    left = threading.Semaphore(60)

    def ask_on() -> None:
        while left.acquire(blocking=False):
            gateway.private.switches = chosen.choice(MIXTURE) if chosen.random() < 0.95 else Switches()
            gateway.ask(key=f"{seed}-{uuid.uuid4()}" if chosen.random() < 0.3 else None)

    with ThreadPoolExecutor(4) as threads:
        for asking in [threads.submit(ask_on) for _ in range(4)]:
            asking.result()
    gateway.private.switches = Switches(Fault.STATUS)
    for _ in range(30):
        gateway.ask()
    assert gateway.private.seen.predictions <= MOST
    assert gateway.used() == 5 or gateway.private.seen.predictions >= 20


def test_after_20_failures_the_user_is_told_why_and_until_when(gateway: RunningGateway) -> None:
    gateway.private.switches = Switches(Fault.STATUS, status=422)
    assert [gateway.ask().status_code for _ in range(20)] == [422] * 20
    gateway.private.switches = Switches()
    refused = gateway.ask()
    body = refused.get_json()
    assert (refused.status_code, body["error"]) == (429, "too_many_failures")
    end = datetime.fromisoformat(body["reset_at"])
    assert (end.minute, end.second, end > datetime.now(UTC)) == (0, 0, True)
    assert f"{end:%H:%M} UTC" in body["message"]
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert refused.headers["RateLimit-Policy"] == '"failures";q=20;w=3600'
    assert gateway.private.seen.predictions == 20
    assert gateway.ask(user=uuid.uuid4()).status_code == 200, "somebody else"


def test_a_plan_without_a_daily_limit_has_none_of_failures(gateway: RunningGateway) -> None:
    """Its calls cost nothing more when they succeed, and an outage of a minute must not lock a busy customer out."""
    gateway.private.switches = Switches(Fault.STATUS)
    assert {gateway.ask(tier=Tier.ENTERPRISE).status_code for _ in range(22)} == {502}


def test_what_never_reached_the_private_server_does_not_count(database_url: str) -> None:
    with running_gateway(database_url, plans=LIMITED, private_url="http://127.0.0.1:1") as gateway:
        (failure,) = {gateway.ask().get_json()["error"] for _ in range(3)}
        assert failure == "service_unavailable"
        assert gateway.rows("SELECT 1 FROM usage_counters") == []


def test_an_answer_that_could_not_be_counted_was_a_failure_too(database_url: str, redis_url: str) -> None:
    plans = {Tier.FREE: replace(FREE, failures_per_hour=2)}
    with running_gateway(database_url, redis_url=redis_url, plans=plans) as gateway:
        change(gateway, "ALTER TABLE request_logs ADD CHECK (NOT success)")
        answers = [gateway.ask().status_code for _ in range(3)]
        assert (answers[2], gateway.private.seen.predictions) == (429, 2)


def test_failures_count_in_the_process_when_they_cannot_be_written(gateway: RunningGateway) -> None:
    change(gateway, "ALTER TABLE request_logs ADD CHECK (success)")
    gateway.private.switches = Switches(Fault.STATUS)
    answers = [gateway.ask().status_code for _ in range(22)]
    assert answers == [502] * 20 + [429] * 2
    assert gateway.ask().get_json()["message"].startswith("20 predictions failed this hour")


def test_a_key_that_was_taken_over_gives_no_failures_for_nothing(gateway: RunningGateway) -> None:
    """Its calls have one id, so those that fail after one was delivered leave no row."""
    gateway.private.switches = Switches(Fault.STATUS)
    gateway.rows(
        "INSERT INTO idempotency_keys (user_id, route, key_sha256, fingerprint, request_id, lease_until)"
        " SELECT %s, 'POST /api/gateway/predict', sha256('goal-1'), '', gen_random_uuid(), now() RETURNING 1",
        str(gateway.alice),
    )
    assert gateway.ask(key="goal-1").status_code == 422
    gateway.private.switches = Switches()
    gateway.ask(key="goal-2")
    gateway.private.switches = Switches(Fault.STATUS)
    assert gateway.rows(
        "UPDATE idempotency_keys SET answer = NULL, answered_at = NULL, lease_until = now() WHERE answer IS NOT NULL RETURNING 1"
    )
    answers = [gateway.ask(key="goal-2").status_code for _ in range(22)]
    assert answers[19:] == [502, 429, 429]


def test_the_hour_of_a_call_is_the_one_in_which_it_was_admitted(limits: Backend) -> None:
    alice, two = somebody(), plan(None, failures_per_hour=2)
    first, second = limits.take(alice, two), limits.take(alice, two)
    last_hour = hour_of(datetime.now(UTC) - timedelta(hours=1))
    limits.fail(replace(first, ask=replace(first.ask, hour=last_hour)))
    limits.fail(second)
    limits.fail(limits.take(alice, two))
    refused = limits.refused(alice, two)
    assert refused.violated == ("failures",)
    assert 0 < refused.retry_after_seconds <= 3600


def test_failures_survive_the_loss_of_redis(database_url: str, redis_url: str) -> None:
    alice, two = somebody(), plan(None, failures_per_hour=2)
    with backend(database_url, redis_url) as made:
        for _ in range(2):
            made.fail(made.take(alice, two))
        made.redis().flushall()
        assert made.refused(alice, two).violated == ("failures",)


def change(gateway: RunningGateway, statement: str) -> None:
    with closing(psycopg2.connect(gateway.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
