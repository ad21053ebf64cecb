"""Background jobs on a real PostgreSQL, run by real workers."""

import asyncio
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from flask import Flask
from psycopg.rows import dict_row
from sqlalchemy import text

from database import db, transaction
from database.jobs.declare import QUEUE, Job, JobName, Jobs, Urgency, enqueue_job
from database.jobs.run_worker import run_worker
from database.jobs.take_jobs import TAKE
from database.jobs.worker_options import WorkerOptions, connection_limits
from security.edge.request_id import begin_exchange
from security.logs.log import configure_logging
from tests.bare_app import bare_app

QUICK = WorkerOptions(heartbeat=0.5, stalled_after=2.0, polling_interval=0.2, reconnect_after=0.1)


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def remember(seen: list[str]) -> Callable[..., None]:
    """A job that notes the one argument it was given."""
    return lambda **arguments: seen.extend(arguments.values())


def work_once(app: Flask, jobs: Jobs, url: str) -> None:
    asyncio.run(run_worker(app, jobs, url, QUICK, once=True))


def status_of(number: int) -> tuple[str, int] | None:
    with transaction() as session:
        row = session.execute(
            text("SELECT status::text, attempts FROM procrastinate_jobs WHERE id = :number"), {"number": number}
        ).one_or_none()
    return (row[0], row[1]) if row else None


def enqueue(jobs: Jobs, name: str, **arguments: object) -> int:
    with transaction() as session:
        return enqueue_job(session, JobName(name, jobs.declared[name].urgency), **arguments)


def wait_until(happened: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_worker_runs_an_enqueued_job_with_its_arguments(app: Flask, database_url: str) -> None:
    seen: list[tuple[str, int]] = []
    jobs = Jobs.of([Job("greet", lambda person, times: seen.append((person, times)))])
    number = enqueue(jobs, "greet", person="alice: 100 %", times=3)

    work_once(app, jobs, database_url)

    assert seen == [("alice: 100 %", 3)]
    assert status_of(number) is None


def test_a_job_of_a_transaction_that_rolls_back_never_exists(app: Flask, database_url: str) -> None:
    seen: list[str] = []
    jobs = Jobs.of([Job("greet", remember(seen))])
    with pytest.raises(RuntimeError, match="changed my mind"), transaction() as session:
        enqueue_job(session, JobName("greet", Urgency.LATER), person="alice")
        raise RuntimeError("changed my mind")
    enqueue(jobs, "greet", person="bob")

    work_once(app, jobs, database_url)

    assert seen == ["bob"]


def test_every_line_of_a_job_has_its_number_and_the_request_says_which_it_enqueued(
    app: Flask, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO")

    def greet(person: str) -> None:
        structlog.get_logger().info("greeted", length=len(person))

    jobs = Jobs.of([Job("greet", greet)])

    def requested() -> int:
        begin_exchange({"HTTP_X_REQUEST_ID": "request-of-alice"})
        with app.test_request_context():
            return enqueue(jobs, "greet", person="alice")

    number = copy_context().run(requested)
    Context().run(work_once, app, jobs, database_url)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    of_job = [line for line in lines if line.get("job_id") == number]
    assert [line["event"].partition(" in ")[0] for line in of_job] == ["job_enqueued", "greeted", "job greet done"]
    assert [line.get("request_id") for line in of_job] == ["request-of-alice", None, None]
    assert {line["job"] for line in of_job} == {"greet"}
    assert all("job" not in line for line in lines if line["event"].startswith("worker "))


def test_two_jobs_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two jobs are named greet"):
        Jobs.of([Job("greet", print), Job("greet", print)])


def test_a_failing_job_is_repeated_and_then_kept(
    app: Flask, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)  # whatever an application of an earlier test has set
    runs: list[str] = []

    def fail(person: str) -> None:
        runs.append(person)
        raise RuntimeError("no luck")

    jobs = Jobs.of([Job("unlucky", fail, retries=2)])
    number = enqueue(jobs, "unlucky", person="alice@example.com")
    for expected in (("todo", 1), ("todo", 2), ("failed", 3)):
        work_once(app, jobs, database_url)
        assert status_of(number) == expected
        with transaction() as session:  # its waiting time is over
            session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL"))
    work_once(app, jobs, database_url)

    assert len(runs) == 3
    assert "job unlucky failed" in caplog.text
    assert "alice@example.com" not in caplog.text


def test_what_is_kept_of_a_failed_job_names_nobody(app: Flask, database_url: str) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("no luck")

    jobs = Jobs.of([Job("mail", fail, retries=0, personal=True), Job("count", fail, retries=0)])
    mail, count = enqueue(jobs, "mail", to="alice@example.com"), enqueue(jobs, "count", item="item-1")

    work_once(app, jobs, database_url)

    with transaction() as session:
        kept = session.execute(text("SELECT id, status::text, args FROM procrastinate_jobs ORDER BY id")).all()
    assert [tuple(row) for row in kept] == [(mail, "failed", {}), (count, "failed", {"item": "item-1"})]


def test_the_last_failure_is_told_to_the_job_with_its_arguments(app: Flask, database_url: str) -> None:
    told: list[tuple[int, str, str]] = []

    def fail(to: str) -> None:
        raise LookupError(to)

    def note(number: int, error: Exception, to: str) -> None:
        told.append((number, type(error).__name__, to))

    jobs = Jobs.of([Job("mail", fail, retries=1, personal=True, when_failed=note)])
    number = enqueue(jobs, "mail", to="alice@example.com")
    work_once(app, jobs, database_url)
    assert told == []
    with transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL"))
    work_once(app, jobs, database_url)
    assert told == [(number, "LookupError", "alice@example.com")]


def test_a_failure_that_cannot_be_noted_is_a_failure_all_the_same(app: Flask, database_url: str) -> None:
    def fail(*_: object) -> None:
        raise LookupError

    jobs = Jobs.of([Job("mail", fail, retries=0, when_failed=fail), Job("greet", print)])
    number, after = enqueue(jobs, "mail"), enqueue(jobs, "greet")
    work_once(app, jobs, database_url)
    assert status_of(number) == ("failed", 1)
    assert status_of(after) is None


def test_a_job_that_names_people_keeps_its_arguments_until_its_last_try(app: Flask, database_url: str) -> None:
    reached: list[str] = []

    def fail_once(to: str) -> None:
        reached.append(to)
        if len(reached) == 1:
            raise RuntimeError("no luck")

    jobs = Jobs.of([Job("mail", fail_once, retries=1, personal=True)])
    enqueue(jobs, "mail", to="alice@example.com")
    work_once(app, jobs, database_url)
    with transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL"))
    work_once(app, jobs, database_url)

    assert reached == ["alice@example.com", "alice@example.com"]


def test_a_periodic_job_runs(app: Flask, database_url: str) -> None:
    visits: list[bool] = []
    jobs = Jobs.of([Job("visit", lambda: visits.append(True), cron="* * * * *")])

    with RunningWorker(app, jobs, database_url):
        wait_until(lambda: bool(visits))


def test_a_periodic_job_that_fails_is_kept_and_not_repeated(app: Flask, database_url: str) -> None:
    def fail() -> None:
        raise RuntimeError("no luck")

    def failed() -> list[str]:
        with transaction() as session:
            return list(session.scalars(text("SELECT task_name FROM procrastinate_jobs WHERE status = 'failed'")))

    with RunningWorker(app, Jobs.of([Job("sweep", fail, cron="* * * * *")]), database_url):
        wait_until(lambda: bool(failed()))

    with transaction() as session:
        waiting = session.execute(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")).scalar_one()
    assert waiting == 0


def jobs_left() -> int:
    with transaction() as session:
        return int(session.execute(text("SELECT count(*) FROM procrastinate_jobs")).scalar_one())


def test_a_worker_goes_on_after_its_connections_were_cut(app: Flask, database_url: str) -> None:
    seen: list[str] = []
    jobs = Jobs.of([Job("greet", remember(seen))])
    with RunningWorker(app, jobs, database_url):
        enqueue(jobs, "greet", person="alice")
        wait_until(lambda: jobs_left() == 0)  # acknowledged: a job that is cut off before is run again
        with transaction() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'mirroros-worker'"
                )
            )
        enqueue(jobs, "greet", person="bob")
        wait_until(lambda: seen == ["alice", "bob"])


KILLED_WORKER = """
import asyncio, sys, time
from tests.bare_app import bare_app
from database.jobs.declare import Job, Jobs
from database.jobs.run_worker import run_worker
from database.jobs.take_jobs import TAKE
from database.jobs.worker_options import WorkerOptions, connection_limits

def hold(path):
    open(path, "w").close()
    time.sleep(60)

app = bare_app(sys.argv[1])
asyncio.run(run_worker(app, Jobs.of([Job("hold", hold)]), sys.argv[1], WorkerOptions(heartbeat=0.5)))
"""


def test_a_job_of_a_killed_worker_is_run_by_another(app: Flask, database_url: str, tmp_path: Path) -> None:
    started = tmp_path / "started"
    seen: list[str] = []
    jobs = Jobs.of([Job("hold", remember(seen))])
    enqueue(jobs, "hold", path=str(started))
    command = [sys.executable, "-c", KILLED_WORKER, database_url]
    victim = subprocess.Popen(command, env={"PYTHONPATH": "."})
    try:
        wait_until(started.exists)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    with transaction() as session:  # so much time has passed
        session.execute(text("UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 hour'"))

    with RunningWorker(app, jobs, database_url):
        wait_until(lambda: seen == [str(started)])


def test_a_job_that_kills_every_worker_ends_as_failed(app: Flask, database_url: str) -> None:
    jobs = Jobs.of([Job("deadly", print)])
    number = enqueue(jobs, "deadly")
    with transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET status = 'doing', attempts = 10"))

    with RunningWorker(app, jobs, database_url):
        wait_until(lambda: status_of(number) == ("failed", 11))


def test_what_is_kept_of_a_job_that_killed_every_worker_names_nobody(app: Flask, database_url: str) -> None:
    jobs = Jobs.of([Job("mail", print, personal=True), Job("count", print)])
    mail, count = enqueue(jobs, "mail", to="alice@example.com"), enqueue(jobs, "count", item="item-1")
    with transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET status = 'doing', attempts = 10"))

    work_once(app, jobs, database_url)

    with transaction() as session:
        kept = session.execute(text("SELECT id, status::text, args FROM procrastinate_jobs ORDER BY id")).all()
    assert [tuple(row) for row in kept] == [(mail, "failed", {}), (count, "failed", {"item": "item-1"})]


def test_the_more_urgent_job_is_taken_first(app: Flask, database_url: str) -> None:
    seen: list[str] = []
    names = [JobName(urgency.name, urgency) for urgency in Urgency]
    jobs = Jobs.of([Job(name, remember(seen)) for name in names])
    for name in (*names, *names):
        enqueue(jobs, name, urgency=name)

    one_slot = WorkerOptions(concurrency=1)
    asyncio.run(run_worker(app, jobs, database_url, one_slot, once=True))

    assert seen == ["PAYMENTS", "PAYMENTS", "MAIL", "MAIL", "LATER", "LATER"]


def test_a_job_that_is_repeated_stays_as_urgent(app: Flask, database_url: str) -> None:
    jobs = Jobs.of([Job(JobName("pay", Urgency.PAYMENTS), lambda: 1 / 0)])
    enqueue(jobs, "pay")
    work_once(app, jobs, database_url)
    with transaction() as session:
        kept = session.execute(text("SELECT status::text, priority FROM procrastinate_jobs")).all()
    assert kept == [("todo", Urgency.PAYMENTS)]


def test_one_job_of_a_lock_runs_at_a_time_and_the_oldest_first(app: Flask, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row, **connection_limits()) as connection:
        connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
        connection.execute(
            "INSERT INTO procrastinate_jobs (task_name, queue_name, lock) VALUES"
            " ('first', 'default', 'a'), ('second', 'default', 'a'), ('third', 'default', 'b')"
        )

        def take() -> str | None:
            row = connection.execute(TAKE, {"queues": [QUEUE], "worker_id": 1}).fetchone()
            return row and row["task_name"]

        assert [take(), take(), take()] == ["first", "third", None]
        connection.execute("UPDATE procrastinate_jobs SET status = 'succeeded' WHERE task_name = 'first'")
        assert take() == "second"


def test_taking_a_job_costs_the_same_however_many_wait(app: Flask, database_url: str) -> None:
    """Also with a plan that was made while the queue was nearly empty, and kept."""
    waiting = "INSERT INTO procrastinate_jobs (task_name, queue_name) SELECT 'x', 'default' FROM generate_series(1, {})"
    with psycopg.connect(database_url, autocommit=True, **connection_limits()) as connection:
        connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
        connection.execute(waiting.format(5))
        connection.execute("DELETE FROM procrastinate_jobs WHERE id < 5")
        connection.execute("VACUUM ANALYZE procrastinate_jobs")
        connection.execute("SET plan_cache_mode = force_generic_plan")
        statement = TAKE.replace("%(queues)s", "$1").replace("%(worker_id)s", "$2")
        connection.execute(f"PREPARE take (varchar[], bigint) AS {statement}".encode())
        connection.execute("EXECUTE take ('{default}', 1)")
        connection.execute(waiting.format(5000).encode())
        (plan,) = connection.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) EXECUTE take ('{default}', 1)"
        ).fetchone() or ([],)

    assert 0 < most_rows(plan[0]["Plan"]) < 100


def most_rows(plan: dict[str, Any]) -> float:
    """The largest number of rows that one node of the plan gave or threw away."""
    own = sum(value for name, value in plan.items() if name == "Actual Rows" or name.startswith("Rows Removed"))
    return float(max([own * plan["Actual Loops"], *map(most_rows, plan.get("Plans", []))]))


def test_a_job_whose_end_could_not_be_written_down_is_run_again(app: Flask, database_url: str) -> None:
    seen: list[str] = []
    jobs = Jobs.of([Job("greet", remember(seen))])
    with transaction() as session:
        session.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'away'; END $$;"
                " CREATE TRIGGER refuse BEFORE DELETE ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        )
    with RunningWorker(app, jobs, database_url):
        enqueue(jobs, "greet", person="alice")
        wait_until(lambda: bool(seen))
        with transaction() as session:
            session.execute(text("DROP TRIGGER refuse ON procrastinate_jobs"))
        wait_until(lambda: jobs_left() == 0)


class RunningWorker:
    """A worker in a thread, stopped at the end of the block."""

    def __init__(self, app: Flask, jobs: Jobs, url: str) -> None:
        self._loop, self._stopping = asyncio.new_event_loop(), asyncio.Event()
        self._work = run_worker(app, jobs, url, QUICK, stopping=self._stopping)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._work)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(20)
        assert not self._thread.is_alive()
