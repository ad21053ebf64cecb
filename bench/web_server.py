"""One gunicorn with one worker, for any WSGI callable, under the same settings for all that are compared."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from bench.load import ask_once
from bench.processors import Processors
from bench.services import FOLDER, ROOT

START_SECONDS = 60.0


class WebServerFailed(Exception):
    """The server did not answer a first prediction with 200. The message holds the end of its log."""


@dataclass(frozen=True)
class WebServer:
    port: int
    worker_pid: int


@contextmanager
def web_server(
    name: str, wsgi: str, environment: Mapping[str, str], *, first_request: bytes, processors: Processors
) -> Iterator[WebServer]:
    """Start `wsgi` ("module:callable", "module:factory()") and yield when it has answered `first_request` with 200.

    The number of workers and threads is in `environment`, which gunicorn.conf.py reads. What is printed goes to a file.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    log_path = FOLDER / f"{name}.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log_path.open("wb") as log:
        port = listener.getsockname()[1]
        bind = f"fd://{listener.fileno()}"
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", bind, wsgi]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited_environment(), **environment, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=processors.on_gateway,
            pass_fds=[listener.fileno()],
        )
    try:
        try:
            yield WebServer(port, wait_until_it_answers(process, port, first_request))
        except (OSError, TimeoutError) as error:
            end = log_path.read_text(errors="replace")[-2000:]
            raise WebServerFailed(f"{wsgi}: {error}. The end of {log_path}:\n{end}") from error
    finally:
        stop(process)


def inherited_environment() -> dict[str, str]:
    """What every program needs from the caller, and nothing that could configure the application."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}


def wait_until_it_answers(process: subprocess.Popen[bytes], port: int, request: bytes) -> int:
    """The worker's process id, once a request was answered with 200. Raises TimeoutError or OSError."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            status, body = ask_once(port, request, timeout=START_SECONDS)
        except ConnectionError:
            time.sleep(0.05)
            continue
        if status != 200:
            raise TimeoutError(f"the first request was answered with {status}: {body[:300].decode(errors='replace')}")
        (worker,) = psutil.Process(process.pid).children()
        return worker.pid
    raise TimeoutError("it ended before it answered" if process.poll() is not None else "it did not answer")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.kill()
        process.wait(10)
