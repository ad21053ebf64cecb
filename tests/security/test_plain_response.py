"""Answers are gunicorn's, without a `Server` header, and a short one goes in one piece."""

import socket
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.errors import InvalidResponseHeader, InvalidResponseHeaderName
from gunicorn.http.wsgi import Response

from security.edge.plain_response import PlainResponse

Fields = list[tuple[str, str]]


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, client = socket.socketpair()
    with ours, client:
        yield ours, client


def answered(kind: type[Response], to: bytes, status: str, fields: Fields, parts: list[bytes]) -> list[bytes]:
    """The bytes that were sent, by call of `sendall`, with the line of `Server` left out."""
    reader = RequestParser(Config(), (), ("192.0.2.1", 4711))
    reader.unreader.unread(to)
    sent = Recorded()
    response = kind(next(reader), sent, Config())
    response.start_response(status, list(fields))
    for part in parts:
        response.write(part)
    response.close()
    return sent.pieces


class Recorded:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        kept = [line for line in data.split(b"\r\n") if not line.startswith((b"Server: ", b"Date: "))]
        self.pieces.append(b"\r\n".join(kept))


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
JSON = ("Content-Type", "application/json")
CASES: dict[str, tuple[bytes, str, Fields, list[bytes]]] = {
    "a short answer": (GET, "200 OK", [JSON, ("Content-Length", "2")], [b"{}"]),
    "in two parts": (GET, "200 OK", [JSON, ("Content-Length", "4")], [b"{}", b"{}"]),
    "longer than it says": (GET, "200 OK", [JSON, ("Content-Length", "2")], [b"{}{}"]),
    "shorter than it says": (GET, "200 OK", [JSON, ("Content-Length", "2")], []),
    "of unknown length": (GET, "200 OK", [JSON], [b"a", b"", b"b"]),
    "no part": (GET, "200 OK", [JSON], []),
    "empty": (GET, "200 OK", [("Content-Length", "0")], [b""]),
    "no content": (GET, "204 No Content", [("Content-Length", "0")], []),
    "not modified": (GET, "304 Not Modified", [("ETag", '"a"')], []),
    "to HEAD": (GET.replace(b"GET", b"HEAD"), "200 OK", [JSON, ("Content-Length", "2")], []),
    "to an old client": (GET.replace(b"1.1", b"1.0"), "200 OK", [JSON, ("Content-Length", "2")], [b"{}"]),
    "to who closes": (GET.replace(b"Host", b"Connection: close\r\nHost"), "200 OK", [("Content-Length", "1")], [b"a"]),
    "hop by hop": (GET, "200 OK", [("Connection", "close"), ("Keep-Alive", "a"), JSON], [b"a"]),
    "one field twice": (GET, "200 OK", [("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("Content-Length", "1")], [b"a"]),
    "Latin-1": (GET, "200 OK", [("X-Name", "ä"), ("Content-Length", "1")], [b"a"]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_client_gets_is_what_gunicorn_sends(case: str) -> None:
    assert b"".join(answered(PlainResponse, *CASES[case])) == b"".join(answered(Response, *CASES[case]))


def test_a_short_answer_goes_in_one_piece() -> None:
    assert len(answered(PlainResponse, *CASES["a short answer"])) == 1


@pytest.mark.parametrize(
    ("field", "error"),
    [
        (("X-A", "b\r\nX-C: d"), InvalidResponseHeader),
        (("X-A", "b\nX-C: d"), InvalidResponseHeader),
        (("X-A", "b\0"), InvalidResponseHeader),
        (("X-A", "€"), InvalidResponseHeader),
        (("X A", "b"), InvalidResponseHeaderName),
        (("X-A: b\r\nX-C", "d"), InvalidResponseHeaderName),
        (("", "d"), InvalidResponseHeaderName),
    ],
)
def test_no_field_makes_another_one(field: tuple[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        answered(PlainResponse, GET, "200 OK", [JSON, field], [b"{}"])


def test_the_server_does_not_name_itself(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, client = sockets
    reader = RequestParser(Config(), (), ("192.0.2.1", 4711))
    reader.unreader.unread(GET)
    response = PlainResponse(next(reader), ours, Config())
    response.start_response("200 OK", [("Content-Length", "1")])
    response.write(b"a")
    assert b"server" not in client.recv(1000).lower()
