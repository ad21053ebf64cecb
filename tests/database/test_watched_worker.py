"""The process of a worker ends within its grace in any state, and ends itself when it stands still."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from flask import Flask

from database import db, transaction
from database.jobs.declare import JobName, enqueue_job
from database.jobs.watch_worker import CUT_OFF, STOOD_STILL
from database.jobs.worker_progress import WorkerProgress
from tests.bare_app import bare_app
from tests.database.worker_program import BLOCK, HOLD
from tests.databases import ask

QUICK = {
    "heartbeat": 0.3,
    "polling_interval": 0.2,
    "connect_within": 1.0,
    "reconnect_after": 0.1,
    "stop_within": 1.0,
    "stop_margin": 1.0,
}
GRACE = 20
"""Seconds, for a busy machine. Without an end of its own, the process would live ten minutes."""


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@contextmanager
def worker(url: str, log: IO[bytes] | None = None, **options: float) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.database.worker_program", url, json.dumps({**QUICK, **options})]
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GRACE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def start_job(name: JobName, folder: Path) -> Path:
    started = folder / name
    with transaction() as session:
        enqueue_job(session, name, path=str(started))
    return started


def signs(url: str) -> int:
    return len(ask(url, "SELECT 1 FROM job_workers"))


def test_a_worker_that_rests_ends_at_once_and_signs_off(app: Flask, database_url: str) -> None:
    with worker(database_url) as process:
        wait_until(lambda: signs(database_url) == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(GRACE) == 0
    assert signs(database_url) == 0


@pytest.mark.slow
@pytest.mark.parametrize("state", [HOLD, BLOCK])
def test_sigterm_ends_a_worker_whatever_it_does(app: Flask, database_url: str, tmp_path: Path, state: JobName) -> None:
    started = start_job(state, tmp_path)
    with worker(database_url) as process:
        wait_until(started.exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(GRACE) == CUT_OFF


@pytest.mark.slow
def test_sigterm_ends_a_worker_that_waits_for_postgresql(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with socket.socket() as silent, log.open("wb") as file:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        with worker(f"postgresql://alice@127.0.0.1:{silent.getsockname()[1]}/x", file) as process:
            wait_until(lambda: "could not reach PostgreSQL" in log.read_text())
            process.send_signal(signal.SIGTERM)
            assert process.wait(GRACE) == 0


@pytest.mark.slow
def test_the_second_signal_ends_it_at_once(app: Flask, database_url: str, tmp_path: Path) -> None:
    started = start_job(HOLD, tmp_path)
    with worker(database_url, stop_within=300) as process:
        wait_until(started.exists)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(GRACE) == 128 + signal.SIGINT


@pytest.mark.slow
def test_a_worker_whose_loop_is_stuck_ends_itself(app: Flask, database_url: str, tmp_path: Path) -> None:
    start_job(BLOCK, tmp_path)
    with worker(database_url, stuck_after=2) as process:
        assert process.wait(GRACE) == STOOD_STILL


@pytest.mark.slow
def test_a_worker_whose_slots_are_taken_for_ever_ends_itself(app: Flask, database_url: str, tmp_path: Path) -> None:
    start_job(HOLD, tmp_path)
    with worker(database_url, concurrency=1, stuck_after=1, longest_job=3) as process:
        assert process.wait(GRACE) == STOOD_STILL


def test_time_without_postgresql_is_no_standing_still() -> None:
    progress = WorkerProgress(1, longest_job=900)
    time.sleep(0.02)
    assert progress.silence() > 0
    assert progress.standing_still() == 0
    progress.answered(longest_gap=10)
    time.sleep(0.02)
    progress.answered(longest_gap=10)
    assert progress.standing_still() > 0
    progress.unanswered()
    assert progress.standing_still() == 0


def test_a_worker_without_a_free_slot_does_not_stand_still() -> None:
    progress = WorkerProgress(1, longest_job=900)
    with progress.job():
        time.sleep(0.02)
        assert (progress.running, progress.silence()) == (1, 0)
    time.sleep(0.02)
    assert progress.silence() > 0
