"""Clients that send more, or go away, while a thread still has their request."""

import socket
from collections.abc import Iterator

import pytest

from tests.toy_web_server import ToyServer, answers, connect, post, received, toy_server, wait_until

SLOW = b"GET /until-allowed HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = post(b"Connection: close", b"Content-Length: 4", body=b"last")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with toy_server(tmp_path_factory.mktemp("early"), WEB_THREADS="4") as server:
        yield server


@pytest.fixture
def server(running: ToyServer) -> ToyServer:
    for name in ("begun", "allowed"):
        (running.log.parent / name).unlink(missing_ok=True)
    return running


def begin(server: ToyServer) -> socket.socket:
    """A connection whose request a thread has, until `allow`."""
    connection = connect(server.port)
    connection.sendall(SLOW)
    wait_until((server.log.parent / "begun").exists, server.log)
    return connection


def allow(server: ToyServer) -> None:
    (server.log.parent / "allowed").touch()


@pytest.mark.parametrize(
    "early",
    [
        [LAST],
        [LAST[:10], LAST[10:]],
        [post(b"Content-Length: 3", body=b"mid") + LAST],
        [post(b"Content-Length: 100000", body=b"x" * 100_000), LAST],
    ],
    ids=["whole", "in two pieces", "two at once", "more than is kept"],
)
def test_what_comes_early_is_answered_next(server: ToyServer, early: list[bytes]) -> None:
    with begin(server) as connection:
        for piece in early:
            connection.sendall(piece)
            assert answers(server.port)  # so the main loop has had a turn with this piece
        allow(server)
        got = received(connection)
    assert got.count(b"HTTP/1.1 200 OK") == b"".join(early).count(b"POST") + 1
    assert got.index(b"finished") < got.index(b"last")


def test_half_of_the_next_request_is_waited_for(server: ToyServer) -> None:
    with begin(server) as connection:
        connection.sendall(LAST[:30])
        assert answers(server.port)
        allow(server)
        while b"finished" not in connection.recv(65536):
            pass
        connection.sendall(LAST[30:])
        assert received(connection).endswith(b"last")


def test_a_client_that_says_no_more_gets_its_answer(server: ToyServer) -> None:
    with begin(server) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert answers(server.port)
        allow(server)
        assert received(connection).endswith(b"finished")


def test_one_that_goes_away_takes_nothing_with_it(server: ToyServer) -> None:
    for _ in range(3):
        begin(server).close()
        assert answers(server.port)
    allow(server)
    for _ in range(8):
        assert answers(server.port)
