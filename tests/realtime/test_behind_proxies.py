"""Sockets through the proxies of `deploy/`."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.metering.limit_backends import eventually
from tests.realtime.conftest import PER_ADDRESS, Accounts
from tests.realtime.message_socket import MessageSocket
from tests.realtime.raw_socket import RawSocket
from tests.realtime.realtime_process import RealtimeProcess
from tests.realtime.toy_messages import PATH
from tests.whole.environment import PUBLIC_HOST
from tests.whole.new_address import new_address
from tests.whole.proxies import CADDY, NGINX, NOWHERE, Proxy, caddy, nginx
from tests.whole.web_server import ROOT

pytestmark = pytest.mark.slow

URL = f"http://{PUBLIC_HOST}"
needs_caddy = pytest.mark.skipif(CADDY is None, reason="there is no Caddy for this platform")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(
    scope="module",
    params=[pytest.param(caddy, marks=needs_caddy), pytest.param(nginx, marks=needs_nginx)],
    ids=["caddy", "nginx"],
)
def proxy(
    request: pytest.FixtureRequest, realtime: RealtimeProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    with request.param([NOWHERE, NOWHERE], tmp_path_factory.mktemp("proxied"), realtime.port) as started:
        yield started


@pytest.fixture(scope="module")
def token(accounts: Accounts) -> str:
    return accounts.person("enterprise").token


def connected(proxy: Proxy) -> socket.socket:
    connection = proxy.connect(20)
    connection.connect()
    return connection.sock


def poll(proxy: Proxy, session: str = "", body: str | None = None) -> str:
    query = f"EIO=4&transport=polling{session and f'&sid={session}'}"
    with closing(proxy.connect(20)) as connection:
        method = "GET" if body is None else "POST"
        connection.request(method, f"/socket.io/?{query}", body, {"Host": PUBLIC_HOST})
        with connection.getresponse() as answer:
            text = answer.read().decode()
            assert answer.status == 200, text
            return text


def test_by_websocket(proxy: Proxy, token: str) -> None:
    with RawSocket(URL, token, through=connected(proxy)) as alice:
        assert alice.ask("toy:weigh", bytes(64 * 1024)) == {"ok": True, "bytes": 64 * 1024}
        assert alice.ask("toy:echo", {"text": "a" * 90_000})["ok"]


def test_by_polling(proxy: Proxy, token: str) -> None:
    session = json.loads(poll(proxy)[1:])["sid"]
    poll(proxy, session, f"40{json.dumps({'token': token})}")
    assert poll(proxy, session).startswith("40")
    poll(proxy, session, '427["toy:echo",{"text":"hello"}]')
    packets = poll(proxy, session).split("\x1e")
    answer: Any = next(json.loads(each[3:]) for each in packets if each.startswith("437"))
    assert answer[0]["text"] == "hello"
    poll(proxy, session, "1")


def test_an_address_is_the_client_s_and_cannot_be_made_up(proxy: Proxy, token: str) -> None:
    sockets = [RawSocket(URL, token, through=connected(proxy)) for _ in range(PER_ADDRESS)]
    try:
        for headers in ({}, {"X-Forwarded-For": new_address()}):
            with pytest.raises(InvalidStatus) as refused:
                RawSocket(URL, token, through=connected(proxy), **headers)
            assert refused.value.response.status_code == 429
    finally:
        for each in sockets:
            each.connection.close()


def test_a_token_in_an_address_is_in_no_log_of_the_proxy(
    request: pytest.FixtureRequest, proxy: Proxy, token: str, tmp_path: Path
) -> None:
    with MessageSocket(URL, token, through=connected(proxy)) as alice:
        assert alice.ask("echo", "said", data="hello")
    without_realtime = {"caddy": caddy, "nginx": nginx}[request.node.callspec.id]
    with without_realtime([NOWHERE, NOWHERE], tmp_path) as broken:
        with pytest.raises(InvalidStatus) as refused:
            MessageSocket(URL, token, through=connected(broken))
        assert refused.value.response.status_code == 502
        eventually(lambda: PATH in broken.logs())
        assert token.rpartition(".")[2] not in broken.logs() + proxy.logs()


@needs_caddy
def test_a_new_configuration_of_caddy_leaves_sockets_alone(
    realtime: RealtimeProcess, token: str, tmp_path: Path
) -> None:
    assert CADDY is not None
    with (
        caddy([NOWHERE, NOWHERE], tmp_path, realtime.port) as proxy,
        RawSocket(URL, token, through=connected(proxy)) as alice,
    ):
        environ = {
            "HOME": str(tmp_path),
            "CADDY_ADMIN": f"unix/{tmp_path}/caddy-admin",
            "SITE_ADDRESS": f"http://:{proxy.connect(20).port}",
            "WEB_SERVERS": f"127.0.0.1:{NOWHERE}",
            "REALTIME_SERVER": f"127.0.0.1:{realtime.port}",
        }
        file = str(ROOT / "deploy" / "Caddyfile")
        command = [CADDY, "reload", "--config", file, "--address", environ["CADDY_ADMIN"], "--force"]
        subprocess.run(command, env=environ, check=True, capture_output=True, timeout=30)
        with RawSocket(URL, token, through=connected(proxy)) as another:
            assert another.ask("toy:echo", {"text": "hello"})["ok"]
        assert alice.ask("toy:echo", {"text": "still here"})["ok"]
