"""gunicorn with our configuration around a toy, and raw bytes to it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGE = 16 * 1024 * 1024
"""Bytes of the toy's answer to /large, more than the system keeps for a client that does not read."""

TOY = f"""
import os
import time

while os.path.exists("hold"):
    time.sleep(0.01)

with open("large", "wb") as file:
    file.write(b"x" * {LARGE})

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    path = environ["PATH_INFO"]
    if path == "/until-allowed":
        open("begun", "w").close()
        while not os.path.exists("allowed"):
            time.sleep(0.01)
        body = b"finished"
    elif path == "/nested":
        def deeper(level):
            return sorted([level], key=lambda value: deeper(value + 1))
        try:
            deeper(0)
        except RecursionError:
            body = b"RecursionError"
    elif path == "/large":
        body = b"x" * {LARGE}
    elif path == "/large-file":
        start_response("200 OK", [("Content-Length", "{LARGE}")])
        return environ["wsgi.file_wrapper"](open("large", "rb"))
    else:
        seen = {{name: environ.get(name, "") for name in ("HTTP_X_USER_ID", "SCRIPT_NAME", "wsgi.url_scheme", "REMOTE_ADDR")}}
        body = body or repr(seen).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

CONFIGURATION = f"""
from dataclasses import replace

exec(compile(open({str(ROOT / 'gunicorn.conf.py')!r}).read(), "gunicorn.conf.py", "exec"))
"""

IMPATIENT = "CLIENT_LIMITS = replace(CLIENT_LIMITS, patience=replace(CLIENT_LIMITS.patience, head=1, body=1))"
"""A client has one second for a head, and one for a body with what it earns by sending."""


@dataclass(frozen=True)
class ToyServer:
    process: subprocess.Popen[bytes]
    port: int
    log: Path


@contextmanager
def toy_server(
    folder: Path,
    configuration: str = "",
    started: str | None = None,
    application: str = "toy:app",
    **variables: str,
) -> Iterator[ToyServer]:
    """`configuration`: further lines of gunicorn's configuration. `started`: what its log says then, if not when it answers.
    `variables` of the environment.
    """
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    text = f"__file__ = {str(ROOT / 'gunicorn.conf.py')!r}\n{CONFIGURATION}{configuration}\n"
    (folder / "conf.py").write_text(text, encoding="utf-8")
    environ = {"PATH": os.environ["PATH"], "FLASK_ENV": "development", "HOME": str(folder), **variables}
    log = folder / "log"
    with socket.socket() as listener, log.open("w") as output:
        listener.bind(("127.0.0.1", 0))
        port, number = listener.getsockname()[1], listener.fileno()
        command = [sys.executable, "-m", "gunicorn", "-c", "conf.py", "--bind", f"fd://{number}", application]
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=output, pass_fds=[number])
    try:
        wait_until(lambda: answers(port) if started is None else started in log.read_text(), log)
        yield ToyServer(process, port, log)
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_until(holds: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        return exchange(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    """The test's own limit of silence is 10 seconds."""
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))


def exchange(port: int, request: bytes) -> bytes:
    """What the server sends until it closes the connection."""
    with connect(port) as connection:
        connection.sendall(request)
        return received(connection)


def received(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def post(*headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: a", *headers, b"", body])
