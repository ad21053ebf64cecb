"""Web processes are killed in the middle of calls: what they held comes back when its lease ends, and nothing counts twice."""

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
