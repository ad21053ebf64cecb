"""PostgreSQL crashes under a worker that has its hands full, again and again. No job is lost, and none waits for long."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy.exc import DBAPIError

from database import db, transaction
from database.jobs.declare import enqueue_job
from database.jobs.worker_options import WorkerOptions
from sandbox.child_process import ChildProcess
from sandbox.postgres import EmbeddedPostgres
from tests.bare_app import bare_app
from tests.database.worker_program import TOUCH
from tests.databases import ask
from tests.whole.web_server import ROOT

ROUNDS = int(os.environ.get("CRASHES", "3"))
AWAY_SECONDS = 5
TAKES_AGAIN_WITHIN = 20


class Platform:
    """Starts the worker anew when it ends by itself."""

    def __init__(self, url: str, folder: Path) -> None:
        self.log_file = folder / "worker.log"
        command = [sys.executable, "-m", "tests.database.worker_program", url, json.dumps({})]
        self.worker = ChildProcess("worker", command, {"PATH": os.environ["PATH"]}, ROOT, self.log_file)
        self.started_anew = 0

    def look(self) -> None:
        if self.worker.exit_code is not None:
            self.started_anew += 1
            self.worker.start()


class Load:
    """Thirty jobs a second, from a process that survives what PostgreSQL does."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.committed: set[int] = set()

    def _run(self) -> None:
        first = 0
        while not self._over.wait(0.33):
            numbers = range(first, first + 10)
            first += 10
            with suppress(DBAPIError), self._app.app_context():
                with transaction() as session:
                    for number in numbers:
                        enqueue_job(session, TOUCH, number=number)
                self.committed |= set(numbers)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """One that loses nothing in a crash, as in production."""
    server = EmbeddedPostgres(tmp_path / "postgres", durable=True)
    server.start()
    yield server
    server.discard()


@pytest.fixture
def app(postgres: EmbeddedPostgres) -> Iterator[Flask]:
    app = bare_app(postgres.url())
    with app.app_context():
        upgrade()
        ask(postgres.url(), "CREATE TABLE seen (number int, at timestamptz DEFAULT clock_timestamp())")
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.mark.slow
@pytest.mark.timeout(120 + ROUNDS * 60)
def test_a_worker_takes_jobs_again_after_each_crash(postgres: EmbeddedPostgres, app: Flask, tmp_path: Path) -> None:
    """`CRASHES=10` for more of them, and `-s` to see the times."""
    url = postgres.url()
    platform = Platform(url, tmp_path)
    platform.worker.start()
    try:
        with Load(app) as load:
            wait_for_work(platform, url, 30)
            took = []
            for _ in range(ROUNDS):
                time.sleep(2)
                postgres.kill()
                time.sleep(AWAY_SECONDS)
                postgres.start()
                took.append(wait_for_work(platform, url, TAKES_AGAIN_WITHIN))
        seconds = ", ".join(f"{each:.1f}" for each in took)
        sys.stdout.write(f"\nseconds until a job was taken: {seconds}; started anew: {platform.started_anew}\n")
        wait_until_done(platform, url, load.committed)

        postgres.kill()
        time.sleep(1)
        platform.worker.ask_to_stop()
        options = WorkerOptions()
        assert platform.worker.process is not None
        platform.worker.process.wait(options.stop_within + options.stop_margin + 5)
        postgres.start()
    finally:
        platform.worker.stop(0)


def wait_for_work(platform: Platform, url: str, seconds: float) -> float:
    """How long it took until a job was done after this call."""
    (now,) = ask(url, "SELECT clock_timestamp()")[0]
    started = time.monotonic()
    while time.monotonic() < started + seconds:
        platform.look()
        if ask(url, f"SELECT 1 FROM seen WHERE at > '{now.isoformat()}' LIMIT 1"):
            return time.monotonic() - started
        time.sleep(0.05)
    raise AssertionError(f"no job was taken:\n{platform.log_file.read_text()[-3000:]}")


def wait_until_done(platform: Platform, url: str, numbers: set[int]) -> None:
    """Jobs that were running in a crash are taken over after half a minute."""
    deadline = time.monotonic() + 90
    missing = numbers
    while missing and time.monotonic() < deadline:
        platform.look()
        with suppress(psycopg2.OperationalError):
            missing = numbers - {number for (number,) in ask(url, "SELECT DISTINCT number FROM seen")}
        time.sleep(0.2)
    assert not missing
