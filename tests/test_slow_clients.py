"""Clients that send and read slowly, or too many at once. The server has four threads, so each test uses more clients."""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.toy_web_server import (
    IMPATIENT,
    LARGE,
    ToyServer,
    answers,
    connect,
    exchange,
    post,
    received,
    toy_server,
    wait_until,
)

pytestmark = pytest.mark.slow

MOST_OF_ONE = 8
CLIENTS = MOST_OF_ONE + 4
SLOW_READERS = 6
HALF = {
    "no byte": b"",
    "a head": b"GET / HTTP/1.1\r\nHo",
    "a head after an empty line": b"\r\nGET / HTTP/1.1\r\nHost: a\r\n",
    "a body": post(b"Content-Length: 100", body=b"a"),
    "chunks": post(b"Transfer-Encoding: chunked", body=b"5\r\nabcde\r\n"),
    "a trailer": post(b"Transfer-Encoding: chunked", body=b"0\r\nX-A: b\r\n"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    """It has room for the large answers of all who do not read them."""
    small = {"WEB_THREADS": "4", "WEB_WAITING_PER_ADDRESS": str(MOST_OF_ONE)}
    room = f"CLIENT_LIMITS = replace(CLIENT_LIMITS, bytes_in_all={SLOW_READERS + 1} * {LARGE})"
    with toy_server(tmp_path_factory.mktemp("slow"), room, **small) as running:
        yield running


@pytest.fixture(scope="module")
def impatient_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with toy_server(tmp_path_factory.mktemp("impatient"), IMPATIENT, WEB_THREADS="4") as running:
        yield running


@pytest.fixture(scope="module")
def server_behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    """At first it may open only 256 files."""
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))"
    small = {"WEB_THREADS": "4", "WEB_WAITING_PER_ADDRESS": str(MOST_OF_ONE), "TRUSTED_PROXY_HOPS": "1"}
    with toy_server(tmp_path_factory.mktemp("proxied"), few, **small) as running:
        yield running


@pytest.fixture(scope="module")
def full_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    """It waits for 20 connections and keeps half a megabyte of what they have sent."""
    bounds = "worker_connections = threads + 20\nCLIENT_LIMITS = replace(CLIENT_LIMITS, bytes_in_all=500_000)"
    with toy_server(tmp_path_factory.mktemp("full"), bounds, WEB_THREADS="4") as running:
        yield running


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as open_connections:
        yield open_connections


def open_half(
    port: int, clients: ExitStack, sent: bytes, number: int, source: str = "127.0.0.1"
) -> list[socket.socket]:
    connections = []
    for _ in range(number):
        connection = clients.enter_context(connect(port, source))
        connection.sendall(sent)
        connections.append(connection)
    return connections


def status_of(answer: bytes) -> int:
    """0 for none."""
    return int(answer.split()[1]) if answer else 0


@pytest.mark.parametrize("sent", HALF.values(), ids=HALF.keys())
def test_no_thread_waits_for_the_rest_of_a_request(server: ToyServer, clients: ExitStack, sent: bytes) -> None:
    open_half(server.port, clients, sent, CLIENTS)
    begun = time.monotonic()
    assert answers(server.port)
    assert time.monotonic() - begun < 8  # a client has 10 seconds for a head


@pytest.mark.parametrize("sent", list(HALF.values())[1:], ids=list(HALF)[1:])
def test_a_request_that_trickles_in_is_408(impatient_server: ToyServer, clients: ExitStack, sent: bytes) -> None:
    """Silence is not what ends it: a byte comes every 0.2 seconds."""
    (connection,) = open_half(impatient_server.port, clients, sent, 1)
    connection.settimeout(0.2)
    answer, end = b"", time.monotonic() + 10
    while not answer and time.monotonic() < end:
        try:
            answer = connection.recv(65536)
        except TimeoutError:
            connection.sendall(b"a")
    connection.settimeout(10)
    answer += received(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (status_of(head), json.loads(body)["error"]) == (408, "request_timeout")
    assert b"Connection: close" in head


def test_a_slow_client_that_keeps_the_least_rate_is_served(impatient_server: ToyServer, clients: ExitStack) -> None:
    piece = b"a" * 1000
    (connection,) = open_half(impatient_server.port, clients, post(b"Content-Length: 4000", b"Connection: close"), 1)
    for _ in range(4):
        connection.sendall(piece)
        time.sleep(0.8)
    assert received(connection).endswith(b"\r\n\r\n" + 4 * piece)


def test_a_client_that_waits_to_be_told_to_go_on_is_told_once(server: ToyServer, clients: ExitStack) -> None:
    sent = post(b"Content-Length: 5", b"Expect: 100-continue", b"Connection: close")
    (connection,) = open_half(server.port, clients, sent, 1)
    assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b"hello")
    answer = received(connection)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b"hello")


def test_a_request_that_ends_early_is_answered_as_it_came(server: ToyServer, clients: ExitStack) -> None:
    (connection,) = open_half(server.port, clients, post(b"Content-Length: 100", body=b"hello"), 1)
    connection.shutdown(socket.SHUT_WR)
    assert received(connection).endswith(b"\r\n\r\nhello")


def test_a_body_too_large_to_be_kept_holds_no_thread_and_nothing_after_it_is_read(server: ToyServer) -> None:
    second = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for _ in range(CLIENTS):
        answer = exchange(server.port, post(b"Content-Length: 3000000", body=second))
        assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", [b"/large", b"/large-file"])
def test_no_thread_waits_for_a_client_that_does_not_read_its_answer(
    server: ToyServer, clients: ExitStack, path: bytes
) -> None:
    asked = b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    slow = open_half(server.port, clients, asked, SLOW_READERS)
    begun = time.monotonic()
    assert answers(server.port)
    assert time.monotonic() - begun < 3  # their answers of 16 MB are made before it
    for connection in slow:
        assert len(received(connection).partition(b"\r\n\r\n")[2]) == LARGE


def test_a_connection_is_used_again_after_an_answer_that_was_taken_slowly(
    server: ToyServer, clients: ExitStack
) -> None:
    (connection,) = open_half(server.port, clients, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", 1)
    taken = 0
    while taken < LARGE:
        taken += len(connection.recv(65536))
    connection.sendall(post(b"Content-Length: 5", b"Connection: close", body=b"hello"))
    assert received(connection).endswith(b"hello")


@pytest.mark.parametrize("sent", [HALF["a head"], HALF["a body"]], ids=["heads", "bodies"])
def test_of_one_address_so_many_may_wait_and_the_longest_gives_way(
    server: ToyServer, clients: ExitStack, sent: bytes
) -> None:
    (other,) = open_half(server.port, clients, HALF["a body"], 1, source="127.0.0.2")
    connections = open_half(server.port, clients, sent, CLIENTS)
    for connection in connections[: CLIENTS - MOST_OF_ONE]:
        assert status_of(received(connection)) == 429
    for connection in (other, connections[-1]):
        connection.sendall(b"st: a\r\n\r\n".ljust(99))
        assert status_of(connection.recv(65536)) == 200
    assert answers(server.port)


def test_an_idle_connection_too_many_is_closed_without_a_word(server: ToyServer, clients: ExitStack) -> None:
    idle = []
    for _ in range(CLIENTS):  # one after the other, so that they become idle in this order
        idle += open_half(server.port, clients, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1)
        answer = b""
        while not answer.endswith(b"}"):
            answer += idle[-1].recv(65536)
        assert status_of(answer) == 200
    assert received(idle[0]) == b""
    assert answers(server.port)


def test_a_client_may_send_in_the_very_turn_in_which_it_gives_way(server: ToyServer, clients: ExitStack) -> None:
    """The main loop finds both ready at once: who comes, and who gives way to it."""
    waiting = open_half(server.port, clients, HALF["a head"], MOST_OF_ONE, source="127.0.0.3")
    assert answers(server.port)  # all of them are waited for
    (worker,) = re.findall(r"Booting worker with pid: (\d+)", server.log.read_text())
    os.kill(int(worker), signal.SIGSTOP)
    try:
        (last,) = open_half(server.port, clients, HALF["a head"], 1, source="127.0.0.3")
        waiting[0].sendall(b"st: a\r\n\r\n")
    finally:
        os.kill(int(worker), signal.SIGCONT)
    last.sendall(b"st: a\r\n\r\n")
    assert status_of(last.recv(65536)) == 200
    assert server.log.read_text().count("Booting worker") == 1


def test_one_line_a_second_tells_of_all_who_were_given_up(server: ToyServer, clients: ExitStack) -> None:
    begun = server.log.stat().st_size
    for connection in open_half(server.port, clients, HALF["a head"], 60)[:-MOST_OF_ONE]:
        received(connection)

    def told() -> list[str]:
        lines = [json.loads(line) for line in server.log.read_text()[begun:].splitlines()]
        return [line["reason"] for line in lines if line["event"] == "clients_given_up"]

    wait_until(lambda: bool(told()), server.log)
    assert len(told()) < 10
    assert "429 for 127.0.0.1" in told()[0]


def test_behind_a_proxy_the_address_is_its_client_s(server_behind_proxy: ToyServer, clients: ExitStack) -> None:
    def half(client: bytes) -> bytes:
        return post(b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-For: " + client, b"Content-Length: 100", body=b"a")

    port = server_behind_proxy.port
    spare = open_half(port, clients, b"", CLIENTS)
    others = [open_half(port, clients, half(b"2001:db8:%d::1" % n), 1)[0] for n in range(1, CLIENTS)]
    mallory = [open_half(port, clients, half(b"2001:db8::%d" % n), 1)[0] for n in range(CLIENTS)]
    for connection in mallory[: CLIENTS - MOST_OF_ONE]:
        assert status_of(received(connection)) == 429
    for connection in [*others, mallory[-1]]:
        connection.sendall(b"a" * 99)
        assert status_of(connection.recv(65536)) == 200
    for connection in spare:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert status_of(connection.recv(65536)) == 200


def test_a_server_that_may_open_few_files_allows_itself_more(
    server_behind_proxy: ToyServer, clients: ExitStack
) -> None:
    """More connections than files would end its process."""
    open_half(server_behind_proxy.port, clients, b"", 400)
    assert answers(server_behind_proxy.port)
    assert server_behind_proxy.log.read_text().count("Booting worker") == 1


def test_when_all_places_are_taken_the_longest_gives_way_to_whoever_comes(
    full_server: ToyServer, clients: ExitStack
) -> None:
    waiting = [open_half(full_server.port, clients, HALF["a head"], 1, f"127.0.0.{n}")[0] for n in range(2, 32)]
    assert answers(full_server.port)
    assert status_of(received(waiting[0])) == 503
    waiting[-1].sendall(b"st: a\r\n\r\n")
    assert status_of(waiting[-1].recv(65536)) == 200


def test_what_waits_takes_so_much_memory_and_the_longest_gives_way(full_server: ToyServer, clients: ExitStack) -> None:
    waiting = open_half(full_server.port, clients, post(b"Content-Length: 100001", body=b"a" * 100_000), CLIENTS)
    assert status_of(received(waiting[0])) == 503
    waiting[-1].sendall(b"a")
    assert status_of(waiting[-1].recv(65536)) == 200
