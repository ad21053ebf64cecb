"""The realtime process, and clients of it."""

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.child_process import ChildProcess
from tests.canary import canary
from tests.realtime.raw_socket import as_a_proxy

ROOT = Path(__file__).parents[2]
START_SECONDS = 60


class RealtimeProcess:
    """Starts and stops as often as a test likes, on the same port."""

    def __init__(self, environ: Mapping[str, str], folder: Path, *command: str) -> None:
        self.log_file = folder / "realtime.log"
        canary.watch(self.log_file)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self._environ = {**kept, **environ}
        self._command = command or ("-m", "tests.realtime.program")
        self._program: ChildProcess | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        command = [sys.executable, *self._command, "--fd", str(listener.fileno())]
        self._program = ChildProcess("realtime", command, self._environ, ROOT, self.log_file, [listener])
        self._program.start()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._program.exit_code is None:
            try:
                if self.get("/health/live")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the realtime process did not start:\n{self.output()[-3000:]}")

    def ask_to_stop(self) -> None:
        assert self._program is not None
        self._program.ask_to_stop()

    def stop(self) -> None:
        if self._program is not None:
            self._program.stop(20)

    @property
    def exit_code(self) -> int | None:
        return None if self._program is None else self._program.exit_code

    @property
    def pid(self) -> int:
        assert self._program is not None
        assert self._program.process is not None
        return self._program.process.pid

    def output(self) -> str:
        return self.log_file.read_text()

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        request = urllib.request.Request(self.url + path, headers={**as_a_proxy(), **headers})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _read(error.read())


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()
