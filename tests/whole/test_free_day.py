"""A free user makes exactly five predictions a day over HTTP, with two web processes and whatever happens to Redis."""

import pytest

from examples.private_server.server import PrivateServer
from examples.private_server.switches import Switches
from sandbox.valkey import EmbeddedValkey
from tests.metering.limit_backends import eventually
from tests.whole.attempts import assert_exactly_five, attempt_in_parallel
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.web_server import WebServer

AT_ONCE = 2
"""Calls that a free user may have in flight."""


def test_parallel_attempts_make_exactly_five(
    web_server: WebServer, shared_database_url: str, shared_private: PrivateServer
) -> None:
    shared_private.switches = Switches(delay_seconds=0.2)
    alice = web_server.register("alice")
    outcome = attempt_in_parallel(web_server, alice)
    assert_exactly_five(shared_database_url, shared_private, alice, outcome)
    assert shared_private.seen.most_at_once <= 2


@pytest.mark.slow
def test_without_redis_parallel_attempts_make_exactly_five(
    start_web_server: StartWebServer, database_url: str, private: PrivateServer
) -> None:
    server = start_web_server(production_environment(database_url, private.url))
    private.switches = Switches(delay_seconds=0.2)
    alice = server.register("alice")
    outcome = attempt_in_parallel(server, alice)
    assert_exactly_five(database_url, private, alice, outcome)
    assert private.seen.most_at_once <= 2


@pytest.mark.slow
def test_redis_killed_in_the_middle_and_back_empty_makes_exactly_five(
    start_web_server: StartWebServer, database_url: str, own_valkey: EmbeddedValkey, private: PrivateServer
) -> None:
    server = start_web_server(production_environment(database_url, private.url, own_valkey.url))
    private.switches = Switches(delay_seconds=0.5)
    alice = server.register("alice")

    def trouble() -> None:
        eventually(lambda: private.seen.predictions >= 2 or None)
        own_valkey.kill()
        eventually(lambda: private.seen.predictions >= 4 or None, 20)
        own_valkey.start()

    outcome = attempt_in_parallel(server, alice, trouble)
    again = attempt_in_parallel(server, alice)
    assert again.delivered == []
    outcome.answers += again.answers
    assert_exactly_five(database_url, private, alice, outcome, in_vain=2 * AT_ONCE)
