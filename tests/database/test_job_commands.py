"""flask jobs list, retry and cancel"""

import asyncio
import re
from collections.abc import Iterator

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import text

from database import db, transaction
from database.jobs.commands import job_commands
from database.jobs.declare import Job, JobName, Jobs, Urgency, enqueue_job
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from tests.bare_app import bare_app

SECRET = "sk_live_9184"


def fail(**_: object) -> None:
    raise ValueError(f"{SECRET} is not a number")


JOBS = Jobs.of(
    [
        Job("count", fail, retries=0),
        Job("again", fail),
        Job("mail", fail, retries=0, personal=True),
    ]
)


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    app.cli.add_command(job_commands(JOBS))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def run(app: Flask, *arguments: object) -> Result:
    return app.test_cli_runner().invoke(args=["jobs", *map(str, arguments)])


def listed(app: Flask, *options: str) -> list[str]:
    """Without the times."""
    answer = run(app, "list", *options)
    assert answer.exit_code == 0, answer.output
    return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "T", line) for line in answer.output.splitlines()]


def enqueue(name: str, **arguments: object) -> int:
    with transaction() as session:
        return enqueue_job(session, JobName(name, Urgency.LATER), **arguments)


def work(app: Flask, url: str) -> None:
    asyncio.run(run_worker(app, JOBS, url, WorkerOptions(), once=True))


def rows() -> list[tuple[object, ...]]:
    with transaction() as session:
        found = session.execute(
            text("SELECT id, status::text, scheduled_at IS NULL FROM procrastinate_jobs ORDER BY id")
        )
        return [tuple(row) for row in found]


def set_status(job_id: int, status: str) -> None:
    with transaction() as session:
        session.execute(text(f"UPDATE procrastinate_jobs SET status = '{status}' WHERE id = {job_id}"))


def test_the_list_says_why_a_job_failed_and_nothing_of_its_arguments(app: Flask, database_url: str) -> None:
    failed, again = enqueue("count", to="alice@example.com"), enqueue("again", to="alice@example.com")
    work(app, database_url)
    waiting = enqueue("count", to="alice@example.com")

    assert listed(app) == [
        f"{waiting}  count  waiting  attempts 0  since T",
        f"{again}  again  waiting  attempts 1  since T  not before T  ValueError at T",
        f"{failed}  count  failed  attempts 1  since T  ValueError at T",
    ]


def test_the_list_is_filtered_by_state_and_name_and_limited(app: Flask, database_url: str) -> None:
    enqueue("count")
    work(app, database_url)
    first, second, again = enqueue("count"), enqueue("count"), enqueue("again")
    set_status(second, "doing")

    assert [line.split()[0] for line in listed(app, "--state", "running")] == [str(second)]
    assert [line.split()[0] for line in listed(app, "--state", "waiting", "--name", "count")] == [str(first)]
    assert [line.split()[0] for line in listed(app, "--limit", "1")] == [str(again)]
    assert listed(app, "--name", "nothing") == ["No jobs."]


def test_a_failed_job_is_run_again(app: Flask, database_url: str) -> None:
    number = enqueue("count")
    work(app, database_url)

    answer = run(app, "retry", number)

    assert (answer.exit_code, answer.output) == (0, f"Job {number} (count) runs as soon as a worker is free.\n")
    assert rows() == [(number, "todo", True)]
    work(app, database_url)
    assert listed(app)[0].startswith(
        f"{number}  count  failed  attempts 3"
    )  # procrastinate counts the retry itself, too


def test_a_job_that_waits_for_its_time_is_run_now(app: Flask, database_url: str) -> None:
    number = enqueue("again")
    work(app, database_url)
    assert rows() == [(number, "todo", False)]
    assert run(app, "retry", number).exit_code == 0
    assert rows() == [(number, "todo", True)]


def test_a_job_that_is_due_is_not_retried(app: Flask) -> None:
    number = enqueue("again")
    answer = run(app, "retry", number)
    assert (answer.exit_code, answer.output) == (1, f"Error: Job {number} is already waiting for a worker.\n")


def test_a_job_whose_arguments_were_deleted_is_not_retried(app: Flask, database_url: str) -> None:
    number = enqueue("mail", to="alice@example.com")
    work(app, database_url)
    answer = run(app, "retry", number)
    assert answer.exit_code == 1
    assert "its arguments were deleted when it failed" in answer.output
    assert rows() == [(number, "failed", True)]


def test_a_job_that_no_worker_knows_is_not_retried(app: Flask) -> None:
    number = enqueue("of_another_version")
    set_status(number, "failed")
    answer = run(app, "retry", number)
    assert answer.exit_code == 1
    assert "this version has no job named of_another_version" in answer.output


def test_a_running_job_is_neither_retried_nor_cancelled(app: Flask) -> None:
    number = enqueue("count")
    set_status(number, "doing")
    assert run(app, "retry", number).output == f"Error: Job {number} is running.\n"
    answer = run(app, "cancel", number)
    assert (answer.exit_code, answer.output) == (1, f"Error: Job {number} is running and cannot be cancelled.\n")
    assert rows() == [(number, "doing", True)]


def test_a_waiting_job_and_a_failed_one_are_cancelled(app: Flask) -> None:
    failed, waiting = enqueue("count"), enqueue("count")
    set_status(failed, "failed")
    assert run(app, "cancel", waiting).output == f"Job {waiting} (count) is deleted.\n"
    assert run(app, "cancel", failed).exit_code == 0
    assert rows() == []


@pytest.mark.parametrize("number", ["1", "0", str(2**63), "-- -1"])
@pytest.mark.parametrize("command", ["retry", "cancel"])
def test_an_unknown_number_is_said_to_be_one(app: Flask, command: str, number: str) -> None:
    answer = run(app, command, *number.split())
    assert answer.exit_code == 1
    assert answer.output.startswith(f"Error: There is no job {number.rsplit(maxsplit=1)[-1]}.")


def test_of_a_job_whose_worker_died_the_reason_says_so(app: Flask, database_url: str) -> None:
    number = enqueue("count")
    set_status(number, "doing")
    with transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET attempts = 10"))
    asyncio.run(run_worker(app, Jobs.of(()), database_url, WorkerOptions(), once=True))
    assert listed(app) == [f"{number}  count  failed  attempts 11  since T  WorkerDied at T"]
