"""One web server in a process of its own, on the measured processor. Its command says which, its environment how many workers."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from bench.load import ask_once
from bench.processors import Processors
from bench.services import FOLDER, ROOT
from bench.targets import Command

START_SECONDS = 60.0


class WebServerFailed(Exception):
    """The server did not answer a first request as expected. The message holds the end of its log."""


@dataclass(frozen=True)
class WebServer:
    """`worker_pids`: gunicorn's workers, or the process itself where that is the one worker."""

    port: int
    worker_pids: tuple[int, ...]

    @property
    def worker_pid(self) -> int:
        (pid,) = self.worker_pids
        return pid


@contextmanager
def web_server(
    name: str,
    command: Command,
    environment: Mapping[str, str],
    *,
    first_request: bytes,
    processors: Processors,
    first_status: int = 200,
) -> Iterator[WebServer]:
    """Start a server and yield when it has answered `first_request` with `first_status`. What it prints goes to a file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    log_path = FOLDER / f"{name}.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log_path.open("wb") as log:
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            command(listener.fileno()),
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
            yield WebServer(port, wait_until_it_answers(process, port, first_request, first_status))
        except (OSError, TimeoutError) as error:
            end = log_path.read_text(errors="replace")[-2000:]
            raise WebServerFailed(f"{name}: {error}. The end of {log_path}:\n{end}") from error
    finally:
        stop(process)


def inherited_environment() -> dict[str, str]:
    """What every program needs from the caller, and nothing that could configure the application."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}


def wait_until_it_answers(
    process: subprocess.Popen[bytes], port: int, request: bytes, expected: int
) -> tuple[int, ...]:
    """The workers' process ids, once a request was answered as expected. Raises TimeoutError or OSError."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            status, body = ask_once(port, request, timeout=START_SECONDS)
        except ConnectionError:
            time.sleep(0.05)
            continue
        if status != expected:
            raise TimeoutError(f"the first request was answered with {status}: {body[:300].decode(errors='replace')}")
        return tuple(worker.pid for worker in psutil.Process(process.pid).children()) or (process.pid,)
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
