"""The list of periodic jobs."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import text

from database import db, reading, transaction
from database.jobs.declare import Job, Jobs
from database.jobs.list_periodic import PeriodicJob, list_periodic
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from tests.bare_app import bare_app

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


def fail() -> None:
    raise LookupError("secret")


JOBS = Jobs.of(
    [
        Job("nightly", print, cron="17 3 * * *"),
        Job("sweep", fail, cron="* * * * *"),
        Job("not_of_the_clock", print),
    ]
)


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def listed() -> list[PeriodicJob]:
    with reading() as session:
        return list_periodic(session, JOBS, NOW)


def test_before_any_worker_ran_the_next_turns_are_known(app: Flask) -> None:
    assert listed() == [
        PeriodicJob("sweep", "* * * * *", None, datetime(2026, 3, 1, 12, 1, tzinfo=UTC), None, None),
        PeriodicJob("nightly", "17 3 * * *", None, datetime(2026, 3, 2, 3, 17, tzinfo=UTC), None, None),
    ]


def test_the_last_turn_and_the_last_failure_are_shown(app: Flask, database_url: str) -> None:
    turns = "SELECT procrastinate_defer_periodic_job_v2('default', 'sweep', NULL, 'sweep', 0, '', {at}, '{{}}')"
    for at in (1_000, 1_060):
        with transaction() as session:
            session.execute(text(turns.format(at=at)))
    without_clock = Jobs.of([Job("sweep", fail, retries=0)])  # it enqueues no turn of this minute
    asyncio.run(run_worker(app, without_clock, database_url, WorkerOptions(), once=True))

    sweep, nightly = listed()

    assert (sweep.last_at, sweep.reason) == (datetime.fromtimestamp(1_060, UTC), "LookupError")
    assert sweep.failed_at is not None
    assert (nightly.last_at, nightly.reason) == (None, None)
