"""One request to a provider: every way in which it can end, its deadline, the process's end, forks, and many at once."""

import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from providers.http_client import LARGEST_REPLY, HttpClient
from providers.problems import (
    CallStopped,
    ProviderBroke,
    ProviderFailed,
    ProviderTimedOut,
    ProviderUnreachable,
)
from tests.providers.raw_provider import ANSWER, always, reply, serving

ROOT = Path(__file__).parents[2]


def post(http: HttpClient, url: str, seconds: float = 10, body: bytes = b"{}") -> bytes:
    return http.request("POST", f"{url}/chat", headers={"X-Any": "1"}, body=body, deadline_seconds=seconds).body


def never(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)  # until the client hangs up


def test_the_request_arrives_as_it_is_and_the_reply_comes_whole(http: HttpClient) -> None:
    body = os.urandom(3_000_000)
    with serving(always(reply())) as provider:
        assert post(http, provider.url, body=body) == ANSWER
    head, _, sent = provider.requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert head.startswith(b"POST /v1/chat HTTP/1.1\r\n")
    assert b"\r\nX-Any: 1\r\n" in head
    assert b"Accept-Encoding: identity" in head


def test_a_connection_is_used_again(http: HttpClient) -> None:
    with serving(always(reply())) as provider:
        for _ in range(5):
            post(http, provider.url)
        assert (len(provider.requests), provider.most_connections) == (5, 1)


def test_a_proxy_of_the_environment_is_not_used(http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(always(reply())) as provider:
        assert post(http, provider.url) == ANSWER


def test_a_redirect_is_not_followed_and_no_cookie_is_kept(http: HttpClient) -> None:
    moved = reply(b"", 307, "Location: /v1/other\r\nSet-Cookie: a=b; Path=/\r\n")
    with serving(always(moved)) as provider:
        answer = http.request("POST", f"{provider.url}/chat", headers={}, body=b"{}", deadline_seconds=10)
        post(http, provider.url)
    assert answer.status == 307
    assert [request.split(b" ")[1] for request in provider.requests] == [b"/v1/chat"] * 2
    assert b"ookie" not in provider.requests[1]


@pytest.mark.parametrize(
    ("data", "failed", "reason"),
    [
        (b"", ProviderBroke, "connection_lost"),
        (reply()[:20], ProviderBroke, "connection_lost"),
        (reply()[:-5], ProviderBroke, "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", ProviderBroke, "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", ProviderFailed, "reply_malformed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ProviderFailed, "reply_malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", ProviderFailed, "reply_malformed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", ProviderFailed, "reply_malformed"),
        (reply(b"x" * 30, head="Content-Encoding: gzip\r\n"), ProviderFailed, "reply_encoded"),
        (reply(b"x" * (LARGEST_REPLY + 1)), ProviderFailed, "reply_too_large"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LARGEST_REPLY + 1), ProviderFailed, "reply_too_large"),
    ],
)
def test_what_cannot_be_used_was_sent_once(
    http: HttpClient, data: bytes, failed: type[ProviderFailed], reason: str
) -> None:
    with serving(always(data, close=True)) as provider, pytest.raises(ProviderFailed) as failure:
        post(http, provider.url)
    assert (type(failure.value), failure.value.reason, failure.value.sent) == (failed, reason, 1)
    assert len(provider.requests) == 1


def test_the_largest_reply_is_read(http: HttpClient) -> None:
    with serving(always(reply(b"x" * LARGEST_REPLY))) as provider:
        assert len(post(http, provider.url)) == LARGEST_REPLY


def test_nobody_at_the_address_means_that_nothing_was_sent(http: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for host in (f"127.0.0.1:{port}", "name.invalid"):
        with pytest.raises(ProviderUnreachable) as failure:
            post(http, f"http://{host}", seconds=5)
        assert (failure.value.status, failure.value.sent) == (503, 0)
    assert failure.value.headers == {"Retry-After": "2"}


def test_a_kept_connection_that_was_closed_is_not_taken(http: HttpClient) -> None:
    with serving(always(reply(head="Connection: keep-alive\r\n"), close=True)) as provider:
        for _ in range(3):
            assert post(http, provider.url) == ANSWER
            while provider.open_connections:
                time.sleep(0.01)
        assert provider.most_connections == 1


@pytest.mark.parametrize("what", ["silence", "trickle", "half a head"])
def test_the_deadline_covers_everything(http: HttpClient, what: str) -> None:
    def respond(connection: socket.socket, request: bytes) -> None:
        if what == "half a head":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
        if what != "trickle":
            never(connection, request)
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:  # each read is quick, the whole takes for ever
            connection.sendall(b" ")
            time.sleep(0.02)

    with serving(respond) as provider:
        started = time.monotonic()
        with pytest.raises(ProviderTimedOut) as failure:
            post(http, provider.url, seconds=0.4)
        assert 0.39 <= time.monotonic() - started < 3
    assert (failure.value.status, failure.value.sent, failure.value.outcome.value) == (504, 1, "unknown")


def test_a_deadline_before_anything_was_sent_is_no_unknown_outcome(http: HttpClient) -> None:
    """A listener whose queue is full takes no more connections, as a host behind a firewall."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        with pytest.raises(ProviderUnreachable) as failure:
            post(http, f"http://127.0.0.1:{listener.getsockname()[1]}", seconds=0.4)
    assert (failure.value.reason, failure.value.sent) == ("connect_timeout", 0)


def test_a_stop_cancels_what_waits_and_the_next_call_starts_anew(http: HttpClient) -> None:
    arrived = threading.Semaphore(0)

    def respond(connection: socket.socket, request: bytes) -> None:
        arrived.release()
        never(connection, request)

    with serving(respond) as provider, ThreadPoolExecutor() as pool:
        calls = [pool.submit(post, http, provider.url, 60) for _ in range(3)]
        assert all(arrived.acquire(timeout=10) for _ in calls)  # one that came after the stop would begin anew
        http.loop.close()
        for call in calls:
            assert isinstance(call.exception(10), CallStopped)
    with serving(always(reply())) as provider:
        assert post(http, provider.url) == ANSWER


async def wait_on_the_loop(released: threading.Event) -> None:
    released.wait()


def test_a_loop_that_does_not_answer_holds_no_thread(http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.http_client.GRACE_SECONDS", 0.1)
    released = threading.Event()
    with serving(always(reply())) as provider:
        post(http, provider.url)
        http.loop.start(wait_on_the_loop(released))
        try:
            with pytest.raises(ProviderUnreachable):
                post(http, provider.url, seconds=0.1)
        finally:
            released.set()


FORKING = """
import os, sys
from providers.http_client import HttpClient
from providers.loop import ProviderLoop

http, url = HttpClient(ProviderLoop()), sys.argv[1]

def post():
    return http.request("POST", url, headers={}, body=b"{}", deadline_seconds=10).status

assert post() == 200
child = os.fork()
assert post() == 200
if child == 0:
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert post() == 200
"""


def test_a_forked_process_has_its_own_and_leaves_its_parents_alone() -> None:
    with serving(always(reply())) as provider:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", FORKING, provider.url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert (len(provider.requests), provider.most_connections) == (4, 2)


ENDING = """
import sys, threading, time
from providers.http_client import HttpClient
from providers.loop import ProviderLoop
http = HttpClient(ProviderLoop())
threading.Thread(
    target=http.request, args=("POST", sys.argv[1]), kwargs=dict(headers={}, body=b"{}", deadline_seconds=60), daemon=True
).start()
sys.stdin.read()
"""


def test_a_process_ends_at_once_while_a_call_waits() -> None:
    arrived = threading.Event()

    def respond(connection: socket.socket, request: bytes) -> None:
        arrived.set()
        never(connection, request)

    with (
        serving(respond) as provider,
        subprocess.Popen([sys.executable, "-c", ENDING, provider.url], cwd=ROOT, stdin=subprocess.PIPE) as process,
    ):
        assert arrived.wait(30)
        started = time.monotonic()
        process.communicate(timeout=30)
        assert time.monotonic() - started < 15
        assert process.returncode == 0


@pytest.mark.slow
def test_hundreds_of_calls_at_once_are_all_answered(http: HttpClient) -> None:
    with serving(always(reply())) as provider, ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: post(http, provider.url, 60), range(200)))
    assert answers == [ANSWER] * 200
    assert len(provider.requests) == 200
