"""The servers are replaced under 200 requests a second, and no client notices."""

import signal

import psutil
import pytest

from examples.private_server.server import PrivateServer
from tests.metering.limit_backends import eventually
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.steady_load import assert_none_failed, register_clients, steady_load


@pytest.mark.slow
def test_sighup_replaces_the_processes_and_fails_no_request(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer
) -> None:
    server = start_web_server(production_environment(database_url, private.url, redis_url))
    people = register_clients(server, database_url)
    before = {each.pid for each in server.workers()}
    with steady_load(server.port, people) as load:
        load.wait_for(2)
        server.send_signal(signal.SIGHUP)
        eventually(lambda: not any(map(psutil.pid_exists, before)) or None, 30)
        load.wait_for(2)
    assert len(server.workers()) == 2
    print(load.asked, load.slowest)
    assert_none_failed(load, database_url)
