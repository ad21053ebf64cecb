"""What every measured server needs: a durable PostgreSQL, a Valkey and a private server, started and stopped here."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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


def private_server(*, secret: str, delay_ms: int) -> AbstractContextManager[str]:
    """The URL of a private server that answers each prediction after `delay_ms`."""
    return told_once("bench.private_server", secret=secret, delay_ms=delay_ms)


def token_server(*, first_ms: int, per_second: int) -> AbstractContextManager[str]:
    """The URL of a provider of chats: its first piece comes after `first_ms`, and then so many a second."""
    return told_once("bench.token_server", first_ms=first_ms, per_second=per_second)


@contextmanager
def told_once(module: str, **options: str | int) -> Iterator[str]:
    """The URL of a program that reads what it is to do from a line and writes its port."""
    command = [sys.executable, "-m", module]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=stop_with_parent
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(options).encode() + b"\n")
        process.stdin.flush()
        port = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()
