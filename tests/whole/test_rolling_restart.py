"""The servers are replaced under 200 requests a second, and no client notices."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import psutil
import pytest

from examples.private_server.server import PrivateServer
from tests.metering.limit_backends import eventually
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.proxies import CADDY, NGINX, Proxy, caddy, nginx
from tests.whole.steady_load import assert_none_failed, register_clients, steady_load
from tests.whole.web_server import WebServer

StartProxy = Callable[[Sequence[int], Path], AbstractContextManager[Proxy]]


@pytest.mark.slow
def test_sighup_replaces_the_processes_and_fails_no_request(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer
) -> None:
    server = start_web_server(production_environment(database_url, private.url, redis_url))
    people = register_clients(server, database_url)
    before = {each.pid for each in server.workers()}

    with steady_load(server.connection, people) as load:
        load.wait_for(1)
        server.send_signal(signal.SIGHUP)
        eventually(lambda: not any(map(psutil.pid_exists, before)) or None, 30)
        load.wait_for(1)
    assert len(server.workers()) == 2
    assert_none_failed(load, database_url)


@pytest.fixture
def three_sets(
    database_url: str, redis_url: str, private: PrivateServer, tmp_path: Path
) -> Iterator[tuple[WebServer, ...]]:
    """Of web processes, on ports of their own. None is started."""
    environ = production_environment(database_url, private.url, redis_url)
    environ |= {"FLASK_ENV": "development"}  # takes the plain http of a proxy without a certificate
    with ExitStack() as running:
        servers = []
        for name in ("old", "lasting", "new"):
            (tmp_path / name).mkdir()
            servers.append(WebServer(environ, tmp_path / name))
            running.callback(servers[-1].stop)
        yield tuple(servers)


@pytest.mark.slow
@pytest.mark.timeout(240)  # three servers start and stop, one of them under load
@pytest.mark.parametrize(
    "start_proxy",
    [
        pytest.param(caddy, marks=pytest.mark.skipif(CADDY is None, reason="there is no Caddy for this platform")),
        pytest.param(nginx, marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed")),
    ],
)
def test_another_set_of_processes_takes_over_behind_the_proxy_and_fails_no_request(
    start_proxy: StartProxy, three_sets: tuple[WebServer, ...], database_url: str, tmp_path: Path
) -> None:
    old, lasting, new = three_sets
    old.start()
    lasting.start()
    people = register_clients(old, database_url)
    with (
        start_proxy([each.port for each in three_sets], tmp_path) as proxy,
        steady_load(proxy.connect, people) as load,
    ):
        load.wait_for(1)
        new.start()
        eventually(lambda: new.get("/health/ready").status == 200 or None)
        load.wait_for(1)
        old.stop()
        load.wait_for(1)
    assert_none_failed(load, database_url)
    assert all(each.output().count("/api/gateway/predict") > 5 for each in three_sets), "each had its share"
