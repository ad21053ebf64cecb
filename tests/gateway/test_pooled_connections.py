"""Connections to the private server are kept, and one that was closed while it lay idle harms nobody."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from examples.private_server.switches import Fault, Switches
from gateway.private_server.connection_pool import ConnectionPool
from gateway.private_server.http_connection import HttpConnection
from gateway.settings import ResponseVerification
from tests.gateway.running_gateway import RunningGateway, running_gateway

REPLY = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"answer":1}'


@pytest.fixture
def gateway(database_url: str) -> Iterator[RunningGateway]:
    with running_gateway(database_url) as running:
        yield running


class ClosingServer:
    """Answers the first request of its first connection; after a second one it writes `last_words` and closes. Then it behaves."""

    def __init__(self, *, last_words: bytes = b"", after: float = 0.0) -> None:
        """`after`: seconds between the second request and the close."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.last_words = last_words
        self.after = after
        self.requests: list[bytes] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        first, _ = self.listener.accept()
        with first:
            self.requests.append(first.recv(65536))
            first.sendall(REPLY)
            self.requests.append(first.recv(65536))
            first.sendall(self.last_words)
            self.over.wait(self.after)
        self.listener.settimeout(0.5)
        with suppress(TimeoutError):
            second, _ = self.listener.accept()
            with second:
                self.requests.append(second.recv(65536))
                second.sendall(REPLY)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self) -> None:
        self.thread.join()
        self.listener.close()


def test_a_pooled_connection_that_dies_without_an_answer_is_replaced_once(database_url: str) -> None:
    server = ClosingServer()
    with running_gateway(database_url, private_url=server.address, verify=ResponseVerification.OFF) as gateway:
        assert [gateway.ask().status_code, gateway.ask().status_code] == [200, 200]
        assert gateway.used() == 2
    server.close()
    _, unanswered, repeated = [dict(header_lines(request)) for request in server.requests]
    assert unanswered["x-mirror-nonce"] != repeated["x-mirror-nonce"]
    assert unanswered["x-mirror-content-sha256"] == repeated["x-mirror-content-sha256"]


@pytest.mark.parametrize(
    ("server", "timeout"),
    [
        (partial(ClosingServer, after=1.2), 20.0),
        (ClosingServer, 2.5),
        (partial(ClosingServer, last_words=b"HTTP/1.1 103 Early Hints\r\n\r\n"), 20.0),
        (partial(ClosingServer, last_words=REPLY.partition(b"{")[0]), 20.0),
    ],
    ids=["after-it-worked-for-a-second", "when-no-time-is-left", "after-an-interim-reply", "after-the-head"],
)
def test_a_call_that_may_have_done_something_is_not_repeated(
    database_url: str, server: Callable[[], ClosingServer], timeout: float
) -> None:
    closing = server()
    with running_gateway(
        database_url, private_url=closing.address, verify=ResponseVerification.OFF, timeout=timeout
    ) as gateway:
        assert [gateway.ask().status_code, gateway.ask().status_code] == [200, 502]
        assert gateway.used() == 1
    closing.close()
    assert len(closing.requests) == 2


def test_a_probe_of_two_seconds_is_repeated_all_the_same(database_url: str) -> None:
    server = ClosingServer()
    with running_gateway(database_url, private_url=server.address, verify=ResponseVerification.OFF) as gateway:
        gateway.ask()
        assert gateway.proxy.private_server.answers_health(2.0)
    server.close()


def test_a_private_server_that_was_restarted_is_reached_without_an_error(gateway: RunningGateway) -> None:
    gateway.ask()
    gateway.private.switches = Switches(Fault.CLOSE)
    gateway.ask()  # fails, and the reference server closes that connection
    gateway.private.switches = Switches()
    assert gateway.ask().status_code == 200
    assert gateway.used() == 2


def test_connections_are_used_again(gateway: RunningGateway) -> None:
    taken: list[HttpConnection | None] = []
    pool = gateway.proxy.private_server._pool
    gateway.ask()
    taken.append(pool.take())
    assert taken[0] is not None
    pool.give_back(taken[0])
    gateway.ask()
    assert pool.take() is taken[0]
    taken[0].close()


def test_a_connection_that_the_other_side_closed_is_not_taken() -> None:
    ours, theirs = socket.socketpair()
    pool = ConnectionPool(largest=2)
    pool.give_back(HttpConnection(ours))
    theirs.close()
    assert pool.take() is None
    assert ours.fileno() == -1


def test_a_connection_with_bytes_that_nobody_asked_for_is_not_taken() -> None:
    ours, theirs = socket.socketpair()
    pool = ConnectionPool(largest=2)
    pool.give_back(HttpConnection(ours))
    theirs.sendall(REPLY)
    assert pool.take() is None
    theirs.close()


def test_the_pool_closes_what_is_too_many() -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    pool = ConnectionPool(largest=2)
    for ours, _ in pairs:
        pool.give_back(HttpConnection(ours))
    assert [ours.fileno() == -1 for ours, _ in pairs] == [False, False, True]
    pool.close()
    assert all(ours.fileno() == -1 for ours, _ in pairs)
    for _, theirs in pairs:
        theirs.close()


def header_lines(request: bytes) -> Iterator[tuple[str, str]]:
    for line in request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        yield name.lower(), value
