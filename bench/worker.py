"""How many jobs a worker runs a second while 100,000 wait, and how long an urgent one waits among them.

`python -m bench.worker URL` is the measured worker. Its jobs do nothing, so that the queue alone is measured.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg2
from flask import Flask
from flask_migrate import upgrade

from bench.processors import Processors
from bench.services import FOLDER, ROOT, Services
from database import db, migrate, transaction
from database.engine import EngineOptions, engine_options, sqlalchemy_url
from database.jobs.declare import QUEUE, Job, JobName, Jobs, Urgency, enqueue_job
from database.jobs.watch_worker import run_watched_worker
from database.jobs.worker_options import WorkerOptions
from database.schema import MIGRATIONS
from sandbox.postgres import stop_with_parent

WAITING = 100_000
WINDOW_SECONDS = 8.0
URGENT_JOBS = 10
PATIENCE_SECONDS = 30.0

REST = JobName("bench_rest", Urgency.LATER)
URGENT = JobName("bench_urgent", Urgency.PAYMENTS)

Ask = Callable[[str], Any]


def worker(services: Services, processors: Processors) -> bool:
    """Print jobs a second before and after the worker lost its connections. False when a job was not run in time."""
    url = services.postgres.ensure_database("worker")
    app = app_of(url)
    with app.app_context(), ExitStack() as stack:
        upgrade(directory=str(MIGRATIONS))
        stack.callback(db.engine.dispose)
        connection = psycopg2.connect(url)
        stack.callback(connection.close)
        connection.autocommit = True
        cursor = connection.cursor()

        def ask(statement: str) -> Any:
            cursor.execute(statement)
            return (cursor.fetchone() or (None,))[0] if cursor.description else None

        stack.enter_context(measured_worker(url))
        while not ask("SELECT count(*) FROM procrastinate_workers"):  # it has planned its statements for an empty queue
            time.sleep(0.1)
        time.sleep(2)
        ask(
            "INSERT INTO procrastinate_jobs (task_name, queue_name, priority)"  # noqa: S608
            f" SELECT '{REST}', '{QUEUE}', {int(REST.urgency)} FROM generate_series(1, {WAITING})"
        )
        print("                   jobs/s  waiting  longest wait of an urgent job, ms")
        measure("with an old plan", ask)
        ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'mirroros-worker'"
        )
        back = seconds_until_work(ask)
        measure("after a reconnect", ask)
        print(f"seconds until a job was done after the connections were cut: {back:.1f}")
    return True


def measure(title: str, ask: Ask) -> None:
    waiting, started = ask("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"), time.monotonic()
    waits = []
    for _ in range(URGENT_JOBS):
        time.sleep(WINDOW_SECONDS / URGENT_JOBS)
        begun = time.monotonic()
        with transaction() as session:
            number = enqueue_job(session, URGENT)
        while ask(f"SELECT count(*) FROM procrastinate_jobs WHERE id = {number}"):  # noqa: S608
            if time.monotonic() > begun + PATIENCE_SECONDS:
                raise SystemExit(f"an urgent job was not run within {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.002)
        waits.append((time.monotonic() - begun) * 1000)
    done = waiting + URGENT_JOBS - ask("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")
    print(f"{title:<17}  {done / (time.monotonic() - started):>6.0f}  {waiting:>7}  {max(waits):>34.0f}", flush=True)


def seconds_until_work(ask: Ask) -> float:
    started, before = time.monotonic(), ask("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")
    while (
        ask("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'") > before - 20
    ):  # 4 were running, 5 in flight
        if time.monotonic() > started + PATIENCE_SECONDS:
            raise SystemExit(f"the worker did not come back within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.05)
    return time.monotonic() - started


@contextmanager
def measured_worker(url: str) -> Iterator[None]:
    with (FOLDER / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", url],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=stop_with_parent,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def app_of(url: str) -> Flask:
    app = Flask("bench")
    app.config["SQLALCHEMY_DATABASE_URI"] = sqlalchemy_url(url)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(EngineOptions(application_name="bench"))
    db.init_app(app)
    migrate.init_app(app, db)
    return app


def rest() -> None:
    pass


if __name__ == "__main__":
    JOBS = Jobs.of((Job(REST, rest), Job(URGENT, rest), Job("keep_time", rest, cron="* * * * *")))
    run_watched_worker(app_of(sys.argv[1]), JOBS, sys.argv[1], WorkerOptions())
