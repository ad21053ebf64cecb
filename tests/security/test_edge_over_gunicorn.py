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
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--no-control-socket"]
        server = subprocess.Popen(
            [
                *command,
                "--worker-class",
                "gthread",
                "--threads",
                "4",
                "--log-level",
                "critical",
                "tests.toy_api:toy_app()",
            ],
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
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
