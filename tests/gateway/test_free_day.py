"""A free user makes exactly five predictions a day, however many attempts run in parallel and whatever happens to Redis."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import pytest

from auth.tiers import Tier
from examples.private_server.switches import Switches
from gateway.plan_limits import PlanLimits
from sandbox.valkey import EmbeddedValkey
from tests.metering.limit_backends import eventually
from tests.gateway.running_gateway import PLANS, RunningGateway, running_gateway

THREADS = 24
SHORT_BURST: Mapping[Tier, PlanLimits] = {
    tier: replace(plan, burst=20, burst_seconds=1, concurrency=3) for tier, plan in PLANS.items()
}


def ask_until_the_day_refuses(gateway: RunningGateway) -> list[str]:
    """The ids of what was delivered. What only the burst, the concurrency or an outage refused is tried again."""
    delivered: list[str] = []
    pause = threading.Event()
    while True:
        answer = gateway.ask()
        document = answer.get_json()
        if answer.status_code == 200:
            delivered.append(document["metadata"]["request_id"])
        elif answer.status_code == 429:
            if "day" in document["violated-policies"]:
                return delivered
            pause.wait(0.01)
        else:
            assert answer.status_code == 503, document
            pause.wait(0.01)


def assert_exactly_five(gateway: RunningGateway, delivered: list[str]) -> None:
    assert len(delivered) == len(set(delivered)) == 5
    assert sorted(gateway.private.seen.request_ids) == sorted(delivered)
    assert sorted(str(row["id"]) for row in gateway.requests()) == sorted(delivered)
    assert gateway.used() == 5


@pytest.mark.parametrize("backend", ["redis", "postgres"])
def test_parallel_attempts_make_exactly_five(database_url: str, redis_url: str, backend: str) -> None:
    with running_gateway(
        database_url, plans=SHORT_BURST, redis_url=redis_url if backend == "redis" else None
    ) as gateway:
        gateway.private.switches = Switches(delay_seconds=0.05)
        if backend == "redis":
            eventually(gateway.leases.current)
        with ThreadPoolExecutor(THREADS) as threads:
            results = [threads.submit(ask_until_the_day_refuses, gateway) for _ in range(THREADS)]
            delivered = [request_id for result in results for request_id in result.result()]
        assert_exactly_five(gateway, delivered)
        assert (gateway.leases.current() is not None) == (backend == "redis")


@pytest.mark.parametrize("comes_back", [True, False], ids=["and-back", "for-good"])
def test_redis_killed_in_the_middle_makes_exactly_five(
    database_url: str, own_valkey: EmbeddedValkey, comes_back: bool
) -> None:
    with running_gateway(database_url, plans=SHORT_BURST, redis_url=own_valkey.url) as gateway:
        gateway.private.switches = Switches(delay_seconds=0.3)
        eventually(gateway.leases.current)
        with ThreadPoolExecutor(THREADS) as threads:
            results = [threads.submit(ask_until_the_day_refuses, gateway) for _ in range(THREADS)]
            eventually(lambda: gateway.private.seen.predictions >= 2 or None)
            own_valkey.kill()
            if comes_back:
                own_valkey.start()
            wait(results)
            delivered = [request_id for result in results for request_id in result.result()]
        assert_exactly_five(gateway, delivered)


def test_the_day_is_the_same_before_and_after_redis(database_url: str, own_valkey: EmbeddedValkey) -> None:
    with running_gateway(database_url, redis_url=own_valkey.url) as gateway:
        eventually(gateway.leases.current)
        remaining = [left(gateway), left(gateway)]
        own_valkey.kill()
        remaining += [left(gateway), left(gateway)]
        own_valkey.start()
        eventually(gateway.leases.current)
        remaining.append(left(gateway))
        assert remaining == [4, 3, 2, 1, 0]
        assert gateway.ask().status_code == 429
        assert gateway.private.seen.predictions == 5


def left(gateway: RunningGateway) -> int:
    remaining: int = gateway.ask().get_json()["metadata"]["predictions_remaining_today"]
    return remaining
