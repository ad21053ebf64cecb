"""A program that we start and stop: in a process group of its own, with its output in a log file."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.postgres import stop_with_parent


@dataclass
class ChildProcess:
    """Ctrl-C in a terminal does not reach it, so that it is stopped in order. It ends when we are killed (Linux)."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    folder: Path
    log_file: Path
    sockets: Sequence[socket.socket] = ()
    """It inherits them, under their numbers here, and they are closed here once it has."""
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _logged_before: int = field(default=0, init=False)

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._logged_before = log.tell()
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environ),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=stop_with_parent,
                pass_fds=[each.fileno() for each in self.sockets],
            )
        for each in self.sockets:
            each.close()

    def output(self) -> str:
        """What it has written since its last start."""
        with self.log_file.open("rb") as log:
            log.seek(self._logged_before)
            return log.read().decode(errors="replace")

    def says(self, pattern: str, within_seconds: float) -> str | None:
        """The first group of `pattern`, as soon as its output has it. None when it ends or stays silent for so long."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            ended = self.exit_code is not None
            if found := re.search(pattern, self.output(), re.MULTILINE):
                return found[1]
            if ended:
                return None
            time.sleep(0.02)
        return None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before it was started."""
        return self.process.poll() if self.process else None

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float, in_a_hurry: Callable[[], bool] = lambda: False) -> None:
        """SIGTERM, and after `seconds`, or when it is said to hurry, SIGKILL for it and all that it started."""
        if self.process is None:
            return
        self.ask_to_stop()
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline and not in_a_hurry():
            time.sleep(0.02)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
