"""Requests to solve whose `Content-Length` lies, as no HTTP client would send them: refused, and nothing is reserved."""

import json
import re
import socket

import pytest

from tests.whole.environment import PUBLIC_HOST
from tests.whole.new_address import new_address
from tests.whole.web_server import Person, WebServer

BODY = b'{"image": "AAAA"}'
LARGEST = 20_000_000
Answer = tuple[int, str]


@pytest.fixture(scope="module")
def alice(shared_web_server: WebServer) -> Person:
    return shared_web_server.register("alice")


def answers_to(server: WebServer, person: Person | None, body: bytes, *headers: str) -> list[Answer]:
    """Of one connection, on which nothing more is sent."""
    token = "nothing" if person is None else person.access_token
    head = [
        "POST /api/gateway/solve HTTP/1.1",
        f"Host: {PUBLIC_HOST}",
        "X-Forwarded-Proto: https",
        f"X-Forwarded-For: {new_address()}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        *headers,
    ]
    with server.connect() as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        connection.shutdown(socket.SHUT_WR)
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    found = re.findall(rb"HTTP/1\.1 (\d{3}) .*?\r\n\r\n(\{.*?\})(?=HTTP/1\.1|\Z)", told, re.DOTALL)
    return [(int(status), json.loads(document)["error"]) for status, document in found]


@pytest.mark.parametrize("size", [LARGEST + 1, 10**15])
def test_what_is_announced_too_large_is_not_waited_for(web_server: WebServer, alice: Person, size: int) -> None:
    assert answers_to(web_server, alice, BODY, f"Content-Length: {size}") == [(413, "body_too_large")]


def test_a_stranger_is_refused_before_anything_is_read(web_server: WebServer) -> None:
    assert answers_to(web_server, None, BODY, f"Content-Length: {LARGEST}") == [(401, "invalid_token")]


@pytest.mark.parametrize("announced", [len(BODY) + 1, 1_000_000, LARGEST])
def test_what_ends_before_its_length_is_no_request(web_server: WebServer, alice: Person, announced: int) -> None:
    answers = answers_to(web_server, alice, BODY, f"Content-Length: {announced}")
    assert {status for status, _ in answers} <= {400, 408}, answers


def test_what_goes_on_after_its_length_is_cut_off_there(web_server: WebServer, alice: Person) -> None:
    answers = answers_to(web_server, alice, BODY, f"Content-Length: {len(BODY) - 1}")
    assert answers[0] == (400, "malformed_json")
    assert {status for status, _ in answers} == {400}


@pytest.mark.parametrize(
    "headers",
    [
        (f"Content-Length: {len(BODY)}", "Content-Length: 5"),
        (f"Content-Length: {len(BODY)}, 5",),
        ("Content-Length: -1",),
        (f"Content-Length: +{len(BODY)}",),
        ("Content-Length: 1e3",),
        (f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"),
    ],
)
def test_a_length_that_is_none_is_refused(web_server: WebServer, alice: Person, headers: tuple[str, ...]) -> None:
    answers = answers_to(web_server, alice, BODY, *headers)
    assert {status for status, _ in answers} == {400}, answers


def test_afterwards_nothing_was_reserved_and_the_way_is_free(web_server: WebServer, alice: Person) -> None:
    assert web_server.get("/api/gateway/usage/requests", alice.access_token).json()["requests"] == []
    refused = web_server.post("/api/gateway/solve", b'{"image": ""}', alice.access_token)
    assert (refused.status, refused.error) == (422, "validation_failed")


@pytest.mark.slow
def test_chunks_that_never_end_are_refused(web_server: WebServer, alice: Person) -> None:
    piece = b"a" * 1_000_000
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for _ in range(21))
    answers = answers_to(web_server, alice, chunks, "Transfer-Encoding: chunked")
    assert answers == [(413, "body_too_large")]
