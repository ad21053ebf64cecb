"""Web processes are killed in the middle of calls: what they held comes back when its lease ends, and nothing counts twice."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from examples.private_server.server import PrivateServer
from examples.private_server.switches import Switches
from gateway.prediction_proxy import LEASE_MARGIN_SECONDS
from tests.conftest import administer
from tests.metering.limit_backends import eventually
from tests.whole.attempts import attempt_in_parallel, counted
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.steady_load import register_clients, steady_load
from tests.whole.web_server import Person, WebServer

UPSTREAM_SECONDS = 3


@pytest.mark.slow
def test_without_redis_calls_of_killed_processes_are_given_back(
    start_web_server: StartWebServer, database_url: str, private: PrivateServer
) -> None:
    server = start_web_server(production_environment(database_url, private.url))

    def end_leases(_alice: Person) -> None:
        administer(database_url, "UPDATE usage_reservations SET lease_until = now()")

    assert_calls_of_killed_processes_come_back(server, database_url, private, end_leases)


@pytest.mark.slow
def test_calls_of_killed_processes_are_given_back(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer
) -> None:
    environ = production_environment(database_url, private.url, redis_url)
    server = start_web_server({**environ, "PRIVATE_API_TIMEOUT": str(UPSTREAM_SECONDS)})

    def wait_for_the_leases(alice: Person) -> None:
        eventually(lambda: left(server, alice) == 5 or None, UPSTREAM_SECONDS + LEASE_MARGIN_SECONDS + 10, 0.5)

    assert_calls_of_killed_processes_come_back(server, database_url, private, wait_for_the_leases)


@pytest.mark.slow
def test_killing_one_process_fails_only_what_it_held_and_loses_no_count(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer
) -> None:
    server = start_web_server(production_environment(database_url, private.url, redis_url))
    people = register_clients(server, database_url)
    private.switches = Switches(delay_seconds=0.2)
    victim = server.workers()[0]
    with steady_load(server.connection, people, some_keep_connections=False) as load:
        load.wait_for(1)
        victim.kill()
        victim.wait()
        killed = time.monotonic()
        load.wait_for(1)
        eventually(lambda: len(server.workers()) == 2 or None)
        load.wait_for(1)

    assert load.failures  # it did hold something
    assert all(begun < killed for begun, _ in load.failures), load.failures
    recorded = 0
    for person in people:
        used, ids = counted(database_url, person)
        assert used == len(ids)
        assert set(ids) >= set(load.delivered.get(person.user_id, []))
        recorded += used
    # What was counted and not delivered is a call that the process had recorded and not yet answered.
    assert recorded - sum(map(len, load.delivered.values())) <= len(load.failures)


def assert_calls_of_killed_processes_come_back(
    server: WebServer, database_url: str, private: PrivateServer, end_leases: Callable[[Person], None]
) -> None:
    alice = server.register("alice")
    private.switches = Switches(delay_seconds=2)
    with ThreadPoolExecutor(2) as threads:
        cut_off = [threads.submit(server.predict, alice) for _ in range(2)]
        eventually(lambda: private.seen.predictions == 2 or None)
        for process in server.workers():
            process.kill()
        assert all(isinstance(each.exception(), OSError) for each in cut_off)
    private.switches = Switches()

    # Nobody knows that these calls are lost, so they keep their places of the day and of the calls at once.
    assert left(server, alice) == 3
    refusal = server.predict(alice)
    assert (refusal.status, refusal.json()["violated-policies"]) == (429, ["concurrency"])

    end_leases(alice)
    outcome = attempt_in_parallel(server, alice)
    assert len(set(outcome.delivered)) == 5
    assert counted(database_url, alice) == (5, sorted(outcome.delivered))
    assert len(private.seen.request_ids) == len(set(private.seen.request_ids)) == 7


def left(server: WebServer, person: Person) -> int:
    remaining: int = server.get("/api/gateway/predict/usage", person.access_token).json()["remaining"]
    return remaining
