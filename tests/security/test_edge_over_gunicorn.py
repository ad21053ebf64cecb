"""The wire as clients can bend it: raw bytes to a real gunicorn, because a test client cannot send them."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POST = b"POST /toy/wishes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
WISH = b'{"goal": "run"}'


@pytest.fixture(scope="module")
def gunicorn_port() -> Iterator[int]:
    """The listening socket exists before the server does, so that connecting needs no waiting and no free
    port is guessed.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", f"fd://{listener.fileno()}"]
        server = subprocess.Popen(
            [*command, "--log-level", "critical", "tests.toy_api:toy_app()"],
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            env={"PATH": os.environ["PATH"], "FLASK_ENV": "development", "WEB_THREADS": "4"},
        )
        yield listener.getsockname()[1]
        server.terminate()
        server.wait(timeout=30)


def send(port: int, *parts: bytes) -> tuple[int, bytes]:
    """The status and the rest of the first answer to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert match, answer
    return int(match[1]), answer[match.end() :]


def chunked(*chunks: bytes) -> bytes:
    return b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def test_a_chunked_body_is_read(gunicorn_port: int) -> None:
    status, answer = send(gunicorn_port, POST, chunked(chunk(WISH[:5]), chunk(WISH[5:]), chunk(b"")))
    assert (status, b'"goal":"run"' in answer) == (200, True)


def test_a_chunked_body_over_the_limit_is_413(gunicorn_port: int) -> None:
    padding = chunk(b" " * 10_000)
    assert send(gunicorn_port, POST, chunked(chunk(WISH), padding, padding, padding, chunk(b"")))[0] == 413


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"0x1\r\n{\r\n0\r\n\r\n", id="hexadecimal prefix"),
        pytest.param(b"-1\r\n{\r\n0\r\n\r\n", id="negative"),
        pytest.param(b"zz\r\n{\r\n0\r\n\r\n", id="no number"),
        pytest.param(b"2\r\n{}XX0\r\n\r\n", id="no line end after the chunk"),
        pytest.param(b"f\r\n{}", id="connection closed in a chunk"),
    ],
)
def test_a_broken_chunk_is_400_and_not_500(gunicorn_port: int, chunks: bytes) -> None:
    assert send(gunicorn_port, POST, chunked(chunks))[0] == 400


def test_a_body_that_ends_early_is_400(gunicorn_port: int) -> None:
    status, answer = send(gunicorn_port, POST, b"Content-Length: 100\r\n\r\n", WISH)
    assert (status, b'"malformed_request"' in answer) == (400, True)


def test_no_host_is_400(gunicorn_port: int) -> None:
    status, answer = send(gunicorn_port, b"GET /toy/wishes HTTP/1.1\r\n\r\n")
    assert (status, b'"malformed_request"' in answer) == (400, True)


def test_raw_bytes_in_a_path_query_and_header_are_no_500(gunicorn_port: int) -> None:
    status, _ = send(
        gunicorn_port,
        b"GET /toy/\xff\xfe?\xff=\xfe HTTP/1.1\r\nHost: x\r\nX-Request-ID: \xff\xff\xff\xff\xff\xff\xff\xff\r\n\r\n",
    )
    assert status in {400, 404}


UPLOAD = b"PATCH /toy/uploads/0193a5b0-7c1e-7000-8000-0242ac120002 HTTP/1.1\r\nHost: x\r\n"
TUS = b"Content-Type: application/offset+octet-stream\r\n"


def test_each_event_goes_out_when_it_is_made(gunicorn_port: int) -> None:
    """The second one waits for another request, which is sent when the first has arrived."""
    with socket.create_connection(("127.0.0.1", gunicorn_port), timeout=30) as connection:
        connection.sendall(b"GET /toy/events?waits=true HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        seen = b""
        while b": ping" not in seen:
            seen += connection.recv(65536)
        assert b"event: wish" in seen
        assert b"event: paid" not in seen
        assert send(gunicorn_port, b"POST /toy/release HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 204
        seen += b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, _ = seen.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"event: paid" in seen
    assert seen.endswith(b"\r\n0\r\n\r\n")


def test_rows_that_break_off_have_no_end(gunicorn_port: int) -> None:
    status, answer = send(gunicorn_port, b"GET /toy/wishes.csv?rows=5000&fails_at=4000 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status, answer.endswith(b"0\r\n\r\n")) == (200, False)


@pytest.mark.parametrize("size", [100, 1_400_000])
def test_an_upload_is_read_while_it_arrives(gunicorn_port: int, size: int) -> None:
    """Of announced length and in chunks."""
    body = b"x" * size
    announced = send(gunicorn_port, UPLOAD, TUS, b"Content-Length: %d\r\n\r\n" % size, body)
    in_chunks = send(gunicorn_port, UPLOAD, TUS, chunked(*[chunk(body[:90])] * 2, chunk(b"")))
    assert (announced[0], b'"size":%d' % size in announced[1]) == (200, True)
    assert (in_chunks[0], b'"size":%d' % (2 * len(body[:90])) in in_chunks[1]) == (200, True)


def test_an_upload_that_ends_early_is_400(gunicorn_port: int) -> None:
    status, answer = send(gunicorn_port, UPLOAD, TUS, b"Content-Length: 100\r\n\r\n", b"x" * 50)
    assert (status, b'"malformed_request"' in answer) == (400, True)


def test_an_upload_in_chunks_over_the_limit_is_413(gunicorn_port: int) -> None:
    assert send(gunicorn_port, UPLOAD, TUS, chunked(*[chunk(b"x" * 100_000)] * 16, chunk(b"")))[0] == 413
