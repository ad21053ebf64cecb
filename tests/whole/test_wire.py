"""Bytes that no HTTP client would send, to the web server as it is deployed: nothing is smuggled, nothing is held up, no 500."""

import json
import re
import socket
from contextlib import closing

import pytest

from tests.whole.environment import PUBLIC_HOST
from tests.whole.web_server import WebServer

pytestmark = pytest.mark.slow  # a server is started for it

CRLF = b"\r\n"
PROXY = f"Host: {PUBLIC_HOST}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n".encode()
BODY = b'{"email": "nobody@example.com", "password": "tulip"}'
SECURITY_HEADERS = (
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Content-Security-Policy",
    "Referrer-Policy",
    "Cache-Control",
    "X-Request-ID",
)


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
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


SECOND = request("GET /api/auth/profile HTTP/1.1", "X-Smuggled: yes")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(login(f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"), 400, id="length and chunked"),
        pytest.param(login("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 400, id="two encodings"),
        pytest.param(login("Transfer-Encoding: xchunked"), 501, id="unknown encoding"),
        pytest.param(login("Transfer-Encoding : chunked"), 400, id="space before the colon"),
        pytest.param(login(f"Content-Length: {len(BODY)}", "Content-Length: 0"), 400, id="two lengths"),
        pytest.param(login("Content-Length: 0x10"), 400, id="hexadecimal length"),
        pytest.param(login(f"Content-Length: {len(BODY)}", " folded: yes"), 400, id="folded header"),
        pytest.param(request("GET /health HTTP/1.1", "X Y: z"), 400, id="space in a header's name"),
        pytest.param(request("GET /health HTTP/1.1", "Host: evil.example"), 400, id="a second and foreign host"),
        pytest.param(request("GET  /health?canary HTTP/1.1"), 400, id="two spaces"),
        pytest.param(request("GET /health HTTP/9.9"), 400, id="unknown version"),
        pytest.param(request("GET /health"), 400, id="no version"),
        pytest.param(request("G<ET /health HTTP/1.1"), 400, id="no method"),
        pytest.param(request("GET /health HTTP/1.1", f"X-Long: {'a' * 9000}"), 431, id="long header"),
        pytest.param(request("GET /health HTTP/1.1", f"Authorization: Bearer {'e' * 1_000_000}"), 431, id="1 MB token"),
        pytest.param(request(f"GET /health?{'a' * 5000} HTTP/1.1"), 414, id="long address"),
        pytest.param(request("GET /health HTTP/1.1", "Expect: the-unexpected"), 417, id="unknown expectation"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_problem_and_nothing_after_it_is_read(
    web_server: WebServer, sent: bytes, status: int
) -> None:
    answer = exchange(web_server, sent + SECOND)
    assert statuses(answer) == [status]
    head, _, body = answer.partition(CRLF + CRLF)
    assert json.loads(body)["status"] == status
    assert set(SECURITY_HEADERS) <= {line.partition(b":")[0].decode() for line in head.split(CRLF)}
    assert b"application/problem+json" in head
    assert b"canary" not in answer
    assert "canary" not in web_server.output()
    assert b"evil.example" not in answer


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"0x1\r\n{\r\n0\r\n\r\n", id="hexadecimal prefix"),
        pytest.param(b"10000000000000000\r\n{\r\n0\r\n\r\n", id="more than 64 bits"),
        pytest.param(b"f\r\n{}", id="an end within a chunk"),
    ],
)
def test_a_broken_chunk_is_400_and_nothing_after_it_is_read(web_server: WebServer, chunks: bytes) -> None:
    assert statuses(exchange(web_server, login("Transfer-Encoding: chunked", body=chunks + SECOND))) == [400]


def test_a_chunked_body_over_the_limit_is_413(web_server: WebServer) -> None:
    padding = b"4000\r\n" + b" " * 0x4000 + CRLF
    answer = exchange(web_server, login("Transfer-Encoding: chunked", body=padding * 5 + b"0\r\n\r\n"))
    assert statuses(answer) == [413]


def test_pipelined_requests_are_judged_one_by_one(web_server: WebServer) -> None:
    alice = web_server.register("alice")
    authorised = request("GET /api/auth/profile HTTP/1.1", f"Authorization: Bearer {alice.access_token}")
    answer = exchange(web_server, authorised + SECOND + authorised)
    assert statuses(answer) == [200, 401, 200]
    assert answer.count(alice.email.encode()) == 2


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /health HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", id="foreign host"),
        pytest.param(b"GET /health HTTP/1.1\r\nHost: api.example.com.evil.example\r\n\r\n", id="suffix"),
        pytest.param(b"GET /health HTTP/1.1\r\nHost: api.example.com:80@evil.example\r\n\r\n", id="user part"),
        pytest.param(b"GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\n\r\n", id="absolute form"),
    ],
)
def test_a_host_that_is_not_ours_is_400_and_does_not_come_back(web_server: WebServer, head: bytes) -> None:
    answer = exchange(web_server, head)
    assert statuses(answer) == [400]
    assert b"evil.example" not in answer


@pytest.mark.parametrize(
    "forwarded",
    [
        "junk",
        "192.0.2.1, junk",
        ", ".join(["192.0.2.1"] * 100),
        "fe80::1%eth0",
        "[2001:db8::1]:443",
        "192.0.2.1:99999",
        "' OR 1=1 --",
        "\u00e9".encode().decode("latin-1"),
    ],
)
def test_no_forwarded_address_is_a_500(web_server: WebServer, forwarded: str) -> None:
    reply = web_server.post(
        "/api/auth/login",
        {"email": "nobody@example.com", "password": "tulip"},
        headers={"X-Forwarded-For": forwarded},
    )
    assert reply.status in {401, 429}


def test_plain_http_is_refused_without_a_redirect(web_server: WebServer) -> None:
    reply = web_server.get("/api/auth/profile", headers={"X-Forwarded-Proto": "http"})
    assert (reply.status, reply.error) == (403, "https_required")
    assert reply.headers["Location"] is None


def test_a_header_with_an_underscore_is_not_taken_for_the_real_one(web_server: WebServer) -> None:
    alice = web_server.register("alice")
    sent = request(
        "GET /api/auth/profile HTTP/1.1", "Authorization: Bearer x", f"Authorization_: Bearer {alice.access_token}"
    )
    assert statuses(exchange(web_server, sent)) == [401]
    real = request("GET /health HTTP/1.1", "X_Request_ID: underscored-id-0001")
    assert b"underscored-id-0001" not in exchange(web_server, real)


@pytest.mark.parametrize("offered", ["x" * 5000, "\x1b[31mred-red-red", 'a","level":"info', "short", "spaced out id"])
def test_a_request_id_that_could_harm_a_log_is_replaced(web_server: WebServer, offered: str) -> None:
    answer = exchange(web_server, request("GET /health HTTP/1.1", f"X-Request-ID: {offered}"))
    assert offered.encode() not in answer
    assert statuses(answer) in ([200], [400])


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "get", "PUT", "DELETE"])
def test_a_method_that_no_route_has_is_refused(web_server: WebServer, method: str) -> None:
    answer = exchange(web_server, request(f"{method} /api/gateway/predict/usage HTTP/1.1"))
    assert statuses(answer) in ([400], [405], [501])


def test_options_of_the_server_itself_is_no_500(web_server: WebServer) -> None:
    assert statuses(exchange(web_server, request("OPTIONS * HTTP/1.1"))) in ([204], [400], [404])


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_header_cannot_change_the_method(web_server: WebServer, header: str) -> None:
    assert web_server.post("/api/auth/profile", {}, headers={header: "GET"}).status == 405


def test_the_answer_does_not_name_the_server(web_server: WebServer) -> None:
    for path in ("/health", "/nothing", "/openapi.json"):
        assert web_server.get(path).headers["Server"] is None


def test_every_line_of_the_log_has_one_form(web_server: WebServer) -> None:
    """gunicorn's own lines too, of the master process as of the workers."""
    web_server.get("/health")
    with closing(web_server.connect()) as connection:
        connection.sendall(b"GET / HTTP/9.9\r\n\r\n")
        assert b" 400 " in connection.recv(4096)
    lines = [json.loads(line) for line in web_server.output().splitlines()]
    assert {"request", "request_unreadable"} <= {line["event"] for line in lines}
    assert {"gunicorn.error", None} <= {line.get("logger") for line in lines}
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"]), line
