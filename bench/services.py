"""What every measured server needs: a durable PostgreSQL, a Valkey and a private server, started and stopped here."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.postgres import EmbeddedPostgres, stop_with_parent
from sandbox.valkey import EmbeddedValkey

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".data" / "bench"
"""Logs stay here after a run; the PostgreSQL data does not."""


@dataclass(frozen=True)
class Services:
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey

    @property
    def postgres_pid(self) -> int:
        assert self.postgres.process is not None
        return self.postgres.process.pid

    @property
    def valkey_pid(self) -> int:
        assert self.valkey.process is not None
        return self.valkey.process.pid

    def redis_url(self, number: int) -> str:
        """One of Redis's numbered databases, so that two servers never see each other's keys."""
        return self.valkey.url.rpartition("/")[0] + f"/{number}"


@contextmanager
def services() -> Iterator[Services]:
    """An empty durable PostgreSQL (fsync on) and an empty Valkey."""
    postgres = EmbeddedPostgres(FOLDER / "postgres", durable=True)
    valkey = EmbeddedValkey(FOLDER / "valkey")
    try:
        postgres.start()
        valkey.start()
        yield Services(postgres, valkey)
    finally:
        valkey.stop()
        postgres.discard()


@contextmanager
def private_server(*, secret: str, delay_ms: int) -> Iterator[str]:
    """The URL of a private server that answers each prediction after `delay_ms`."""
    command = [sys.executable, "-m", "bench.private_server"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=stop_with_parent
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps({"secret": secret, "delay_ms": delay_ms}).encode() + b"\n")
        process.stdin.flush()
        port = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()
