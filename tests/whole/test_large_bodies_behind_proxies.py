"""Large uploads through the proxies of `deploy/`: they arrive, and strangers are refused before they have sent them."""

import json
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from hashlib import sha256
from pathlib import Path

import pytest

from sandbox.ports import free_port
from security.api.request_bodies import LARGEST_BODY
from tests.toy_web_server import toy_server
from tests.whole.environment import PUBLIC_HOST
from tests.whole.proxies import CADDY, NGINX, Proxy, caddy, nginx

pytestmark = pytest.mark.slow

StartProxy = Callable[[Sequence[int], Path], AbstractContextManager[Proxy]]
HEADERS = {"Host": PUBLIC_HOST, "Content-Type": "application/json", "Authorization": "Bearer good"}
PIECE = b"a" * 50_000
LARGEST_IMAGE = b"a" * (LARGEST_BODY - len(b'{"image":""}'))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(caddy, marks=pytest.mark.skipif(CADDY is None, reason="there is no Caddy for this platform")),
        pytest.param(nginx, marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed")),
    ],
    ids=["caddy", "nginx"],
)
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Before two servers, of which one is stopped."""
    start: StartProxy = request.param
    folder = tmp_path_factory.mktemp("proxied")
    with (
        toy_server(folder, application="tests.toy_api:toy_app()", WEB_THREADS="16") as server,
        start([server.port, free_port()], folder) as started,
    ):
        yield started


def send(proxy: Proxy, body: bytes | Iterator[bytes], **headers: str) -> tuple[int, bytes]:
    with closing(proxy.connect(20)) as connection:
        chunked = not isinstance(body, bytes)
        connection.request("POST", "/toy/photos", body, {**HEADERS, **headers}, encode_chunked=chunked)
        with connection.getresponse() as answer:
            return answer.status, answer.read()


def test_the_largest_body_is_taken(proxy: Proxy) -> None:
    for _ in range(4):  # two of them are first offered to the server that is stopped
        status, answer = send(proxy, b'{"image":"' + LARGEST_IMAGE + b'"}')
        assert (status, json.loads(answer)["sha256"]) == (200, sha256(LARGEST_IMAGE).hexdigest())


def test_one_in_chunks_is_taken(proxy: Proxy) -> None:
    pieces = iter([b'{"image":"', *[b"a" * 100_000] * 50, b'"}'])
    status, answer = send(proxy, pieces, **{"Transfer-Encoding": "chunked"})
    assert (status, json.loads(answer)["size"]) == (200, 5_000_000)


def status_after_part(proxy: Proxy, **headers: str) -> int:
    """Of the answer to a client that has sent at most 4 MB of its body. Caddy keeps the first one, and passes an answer on when
    the client sends more.
    """
    connection = proxy.connect(20)
    connection.putrequest("POST", "/toy/photos", skip_host=True)
    for name, value in {**HEADERS, **headers}.items():
        connection.putheader(name, value)
    with closing(connection):
        connection.endheaders()
        for _ in range(4_000_000 // len(PIECE)):
            connection.send(PIECE)
            if select.select([connection.sock], [], [], 0.01)[0]:
                break
        with connection.getresponse() as answer:
            return answer.status


def test_a_stranger_is_refused_before_it_has_sent_all(proxy: Proxy) -> None:
    assert status_after_part(proxy, **{"Authorization": "Bearer bad", "Content-Length": "15000000"}) == 401


def test_a_larger_one_is_413(proxy: Proxy) -> None:
    assert status_after_part(proxy, **{"Content-Length": str(LARGEST_BODY + 1_000_000)}) == 413
