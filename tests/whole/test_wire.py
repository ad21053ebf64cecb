"""Bytes that no HTTP client would send, to the web server as it is deployed: nothing is smuggled, nothing is held up, no 500."""

import re
import socket
from contextlib import ExitStack, closing

import pytest

from examples.private_server.server import PrivateServer
from tests.whole.environment import PUBLIC_HOST
from tests.whole.web_server import WebServer

CRLF = b"\r\n"
PROXY = f"Host: {PUBLIC_HOST}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n".encode()
BODY = b'{"email": "nobody@example.com", "password": "tulip"}'
SILENCE_SECONDS = 10


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return line.encode() + CRLF + PROXY + b"".join(header.encode() + CRLF for header in headers) + CRLF + body


def login(*headers: str, body: bytes = BODY) -> bytes:
    return request("POST /api/auth/login HTTP/1.1", "Content-Type: application/json", *headers, body=body)


def exchange(server: WebServer, sent: bytes) -> bytes:
    """Everything that comes back until the server closes the connection."""
    with closing(server.connect()) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"^HTTP/1\.1 (\d{3}) ", answer, re.MULTILINE)]


SECOND = request("GET /api/auth/profile HTTP/1.1", "X-Smuggled: yes")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(login(f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"), id="length and chunked"),
        pytest.param(login("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), id="two transfer encodings"),
        pytest.param(login("Transfer-Encoding: xchunked"), id="unknown transfer encoding"),
        pytest.param(login("Transfer-Encoding : chunked"), id="space before the colon"),
        pytest.param(login(f"Content-Length: {len(BODY)}", "Content-Length: 0"), id="two lengths"),
        pytest.param(login(f"Content-Length: +{len(BODY)}"), id="signed length"),
        pytest.param(login("Content-Length: 0x10"), id="hexadecimal length"),
        pytest.param(login("Content-Length: -1"), id="negative length"),
        pytest.param(login(f"Content-Length: {len(BODY)}", " folded: yes"), id="folded header"),
        pytest.param(request("GET /health HTTP/1.1", "X: a\x00b"), id="NUL in a header"),
        pytest.param(request("GET /health HTTP/1.1", "X Y: z"), id="space in a header's name"),
        pytest.param(request("GET /health HTTP/1.1").replace(CRLF, b"\n"), id="bare line feeds"),
        pytest.param(request("GET /health HTTP/1.1", f"Host: {PUBLIC_HOST}"), id="two hosts"),
        pytest.param(request("GET /health HTTP/1.1", "Host: evil.example"), id="a second and foreign host"),
        pytest.param(request("GET  /health HTTP/1.1"), id="two spaces"),
        pytest.param(request("GET /health HTTP/9.9"), id="unknown version"),
        pytest.param(request("GET /health"), id="no version"),
    ],
)
def test_a_request_that_two_servers_could_read_differently_is_refused_and_the_connection_closed(
    web_server: WebServer, sent: bytes
) -> None:
    answer = exchange(web_server, sent + SECOND)
    assert statuses(answer) in ([400], [501], [505]), answer
