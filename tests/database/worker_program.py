"""A worker in a process of its own: `python -m tests.database.worker_program URL OPTIONS`, the options as JSON.

Its jobs: `hold` and `block` write the file that they are given and never end; `block` stops the event loop instead of its
thread. `touch` writes a row into the table `seen`.
"""

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

from sqlalchemy import text

from database import transaction
from database.jobs.declare import Job, JobName, Jobs, Urgency
from database.jobs.watch_worker import run_watched_worker
from database.jobs.worker_options import WorkerOptions
from tests.bare_app import bare_app

HOLD = JobName("hold", Urgency.LATER)
BLOCK = JobName("block", Urgency.LATER)
TOUCH = JobName("touch", Urgency.LATER)
FOR_EVER = 600


def hold(path: str) -> None:
    Path(path).touch()
    time.sleep(FOR_EVER)


def block(path: str) -> None:
    (loop,) = [each for each in gc.get_objects() if isinstance(each, asyncio.AbstractEventLoop)]
    loop.call_soon_threadsafe(time.sleep, FOR_EVER)
    Path(path).touch()


def touch(number: int) -> None:
    with transaction() as session:
        session.execute(text("INSERT INTO seen (number) VALUES (:number)"), {"number": number})


def keep_time() -> None:
    """A worker with periodic jobs has one side task more."""


JOBS = Jobs.of((Job(HOLD, hold), Job(BLOCK, block), Job(TOUCH, touch), Job("keep_time", keep_time, cron="* * * * *")))

if __name__ == "__main__":
    url, options = sys.argv[1:]
    run_watched_worker(bare_app(url), JOBS, url, WorkerOptions(**json.loads(options)))
