"""One deadline over everything that a call to the private server waits for, and work that grows with the reply's size."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic, thread_time
from typing import Any

import pytest

from gateway.private_server import http_connection
from gateway.private_server.http_connection import HttpConnection
from gateway.private_server.resolve_name import Addresses

LARGEST = 4 * 1024 * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def seconds_of_reading(chunks: int) -> float:
    """Processor time for a body in chunks of one byte, all of which lie ready when the reading begins."""
    ours, theirs = socket.socketpair()
    theirs.sendall(CHUNKED + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n")
    connection = HttpConnection(ours)
    started = thread_time()
    reply = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", monotonic() + 60, LARGEST)
    spent = thread_time() - started
    assert reply.body == b"x" * chunks
    connection.close()
    theirs.close()
    return spent


def test_four_times_as_many_chunks_are_about_four_times_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "RECEIVE_BYTES", LARGEST)  # so that everything is in the buffer at once
    seconds_of_reading(1000)
    few = min(seconds_of_reading(5_000) for _ in range(3))
    many = min(seconds_of_reading(20_000) for _ in range(3))
    assert many < 8 * few


@contextmanager
def listening(host: str, serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that gives its first connection to `serve`. Its port."""
    with socket.create_server((host, 0)) as listener:
        listener.settimeout(20)

        def run() -> None:
            with suppress(TimeoutError):  # a test that fails before it connects
                connection, _ = listener.accept()
                with connection:
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


class Names:
    """A name server that can be held up, and that knows `addresses`."""

    def __init__(self, *addresses: tuple[str, int]) -> None:
        self.addresses = addresses
        self.answers = threading.Event()
        self.answers.set()
        self.asked = 0

    def getaddrinfo(self, _host: str, _port: int, **_hints: object) -> list[tuple[Any, ...]]:
        self.asked += 1
        assert self.answers.wait(20)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in self.addresses]

    def of(self, host: str = "private.example") -> Addresses:
        return Addresses(host, 80, self.getaddrinfo)


def say_hello(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def greets(addresses: Addresses, seconds: float = 10) -> bool:
    connection = HttpConnection.open(addresses, monotonic() + seconds, None)
    greeted = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", monotonic() + seconds, 0).status == 200
    connection.close()
    return greeted


def test_a_name_is_resolved() -> None:
    with listening("127.0.0.1", say_hello) as port:
        assert greets(Addresses("localhost", port))


def test_a_name_server_that_is_silent_costs_no_more_than_the_deadline() -> None:
    names = Names(("127.0.0.1", 9))
    names.answers.clear()
    started = monotonic()
    with pytest.raises(TimeoutError):
        HttpConnection.open(names.of(), monotonic() + 0.3, None)
    assert monotonic() - started < 5
    names.answers.set()


def test_many_calls_that_wait_for_a_name_ask_once() -> None:
    names = Names(("127.0.0.1", 9))
    names.answers.clear()
    addresses = names.of()
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(addresses.find(monotonic() + 10)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    names.answers.set()
    for thread in threads:
        thread.join()
    assert (found, names.asked) == ([1] * 8, 1)


def test_a_name_that_is_unknown_is_an_error_of_the_connection() -> None:
    with pytest.raises(OSError, match="no address"):
        HttpConnection.open(Names().of(), monotonic() + 5, None)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_a_name_that_is_malformed_is_an_error_of_the_connection(host: str) -> None:
    with pytest.raises(OSError, match="no address"):
        HttpConnection.open(Addresses(host, 80), monotonic() + 5, None)


def test_what_is_known_serves_while_no_name_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.private_server.resolve_name.FRESH_SECONDS", 0.0)
    monkeypatch.setattr("gateway.private_server.resolve_name.RENEWAL_SECONDS", 0.05)
    names = Names(("127.0.0.1", 9))
    addresses = names.of()
    known = addresses.find(monotonic() + 5)
    names.answers.clear()
    assert addresses.find(monotonic() + 5) == known
    names.answers.set()
    names.addresses = ()
    assert addresses.find(monotonic() + 5) == known


def test_an_address_that_cannot_be_reached_gives_way_to_the_next_and_the_name_is_asked_for_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()
    with listening("127.0.0.1", say_hello) as port:
        names = Names(nobody)
        addresses = names.of()
        with pytest.raises(ConnectionRefusedError):
            HttpConnection.open(addresses, monotonic() + 5, None)
        names.addresses = (nobody, ("127.0.0.1", port))
        assert greets(addresses)
    assert names.asked == 2


@contextmanager
def full(host: str) -> Iterator[tuple[str, int]]:
    """An address whose queue of connections is full, so that connecting takes for ever."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind((host, 0))
        listener.listen(0)
        address: tuple[str, int] = listener.getsockname()
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address


def test_an_address_that_is_silent_leaves_time_for_the_next() -> None:
    with full("127.0.0.1") as silent, listening("127.0.0.1", say_hello) as port:
        assert greets(Names(silent, ("127.0.0.1", port)).of())


def test_several_silent_addresses_share_the_deadline() -> None:
    with full("127.0.0.1") as silent:
        started = monotonic()
        with pytest.raises(TimeoutError):
            HttpConnection.open(Names(*[silent] * 8).of(), monotonic() + 0.4, None)
        assert monotonic() - started < 5


def test_a_handshake_that_trickles_ends_at_the_deadline() -> None:
    over = threading.Event()
    tls = ssl.create_default_context()

    def trickle(connection: socket.socket) -> None:
        connection.recv(1000)
        for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 1000:  # the record of a ServerHello that is long
            if over.wait(0.05):
                return
            connection.send(bytes((byte,)))

    with listening("127.0.0.1", trickle) as port:
        started = monotonic()
        try:
            with pytest.raises(TimeoutError):
                HttpConnection.open(Names(("127.0.0.1", port)).of(), monotonic() + 1, tls)
            assert monotonic() - started < 10  # the whole record would take 50 seconds
        finally:
            over.set()
