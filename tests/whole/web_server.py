"""gunicorn with the project's own configuration and several processes, and a client that speaks to it like a proxy."""

import http.client
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sandbox.child_process import ChildProcess
from tests.canary import canary
from tests.whole.environment import PUBLIC_HOST
from tests.whole.new_address import new_address

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
QUESTION = {"goal": "Run a marathon in under four hours", "timeframe": "6 months"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The stable code of a problem."""
        return str(self.json()["error"])


@dataclass(frozen=True)
class Person:
    email: str
    password: str
    user_id: str
    access_token: str
    refresh_token: str


class WebServer:
    """`gunicorn -c gunicorn.conf.py "app:create_app()"` in this environment, on a free port. Starts once."""

    def __init__(self, environ: Mapping[str, str], folder: Path, *, processes: int = 2, threads: int = 64) -> None:
        listener = socket.socket()  # it refuses connections until gunicorn listens
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        sizes = {"PORT": str(self.port), "WEB_CONCURRENCY": str(processes), "WEB_THREADS": str(threads)}
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", f"fd://{listener.fileno()}"]
        self.log_file = folder / "web.log"
        canary.watch(self.log_file)
        self.processes = processes
        self._program = ChildProcess(
            "web", [*command, "app:create_app()"], {**kept, **sizes, **environ}, ROOT, self.log_file, [listener]
        )

    def start(self) -> None:
        self._program.start()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._program.exit_code is None:
            try:
                if self.get("/health/live").status == 200 and len(self.workers()) == self.processes:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"gunicorn did not start:\n{self.output()[-3000:]}")

    def stop(self) -> None:
        self._program.stop(20)

    def send_signal(self, number: int) -> None:
        """To the main process."""
        assert self._program.process is not None
        self._program.process.send_signal(number)

    def workers(self) -> list[psutil.Process]:
        assert self._program.process is not None
        return psutil.Process(self._program.process.pid).children()

    def output(self) -> str:
        return self.log_file.read_text()

    def get(self, path: str, token: str | None = None, **more: Any) -> Reply:
        return self.ask("GET", path, None, token, **more)

    def post(self, path: str, document: Any = None, token: str | None = None, **more: Any) -> Reply:
        return self.ask("POST", path, document, token, **more)

    def ask(
        self,
        method: str,
        path: str,
        document: Any = None,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60,
        source: str = "127.0.0.1",
    ) -> Reply:
        """One request on a connection of its own, so that any worker may get it. Bytes are sent as they are."""
        sent = {"Host": PUBLIC_HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": new_address()}
        body = None
        if document is not None:
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            sent["Content-Type"] = "application/json"
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout, (source, 0))) as connection:
            connection.request(method, path, body, {**sent, **(headers or {})})
            response = connection.getresponse()
            reply = Reply(response.status, response.headers, response.read())
        if reply.status >= 400:
            canary.look_at_error(reply.body.decode(errors="replace"))
        return reply

    def register(self, name: str) -> Person:
        email, password = f"{name}-{secrets.token_hex(6)}@example.com", f"tulip {secrets.token_hex(8)}"
        reply = self.post("/api/auth/register", {"email": email, "password": password})
        assert reply.status == 201, reply.body
        answer = reply.json()
        return Person(email, password, answer["user"]["id"], answer["access_token"], answer["refresh_token"])

    def predict(self, person: Person, **more: Any) -> Reply:
        return self.post("/api/gateway/predict", QUESTION, person.access_token, **more)

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """That of a client, without what a proxy adds."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout)

    def connect(self) -> socket.socket:
        """For bytes that no HTTP client would send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)
