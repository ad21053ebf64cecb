"""The process of a worker: it ends within its grace whatever the worker does, and ends itself when the worker stands still.

The main thread does nothing but this. It waits for no server and for no event loop, so nothing can keep it from acting.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType

from flask import Flask

from database.jobs.declare import Jobs
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from database.jobs.worker_progress import WorkerProgress

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
STOOD_STILL = os.EX_TEMPFAIL
CUT_OFF = os.EX_UNAVAILABLE


def run_watched_worker(
    app: Flask, jobs: Jobs, database_url: str, options: WorkerOptions, *, once: bool = False
) -> None:
    """Work until SIGTERM or SIGINT. Only the main thread can call it. Ends the process

    - at once at the second signal,
    - with CUT_OFF when a signal's grace is over; other workers take the jobs over that were running,
    - with STOOD_STILL when the worker has asked for no job for `stuck_after` seconds though PostgreSQL answered, or its
      jobs have kept it for `longest_job` seconds. The platform starts another one.
    """
    progress = WorkerProgress(options.concurrency, options.longest_job)
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()
    failures: list[BaseException] = []
    end_at: float | None = None

    def work() -> None:
        working = run_worker(app, jobs, database_url, options, once=once, progress=progress, stopping=stopping)
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(working)
        except BaseException as error:
            failures.append(error)

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal end_at
        if end_at is not None:
            os._exit(128 + number)
        end_at = time.monotonic() + options.stop_within + options.stop_margin
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(stopping.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    worker = threading.Thread(target=work, name="worker", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(LOOK_EVERY)  # signal handlers run meanwhile
        still = progress.standing_still()
        if end_at is not None and time.monotonic() > end_at:
            log.error("the worker did not stop in time; %d jobs were cut off", progress.running)
            os._exit(CUT_OFF)
        if end_at is None and still > options.stuck_after:
            log.error(
                "the worker has not made progress for %d s with %d jobs running; it exits now", still, progress.running
            )
            os._exit(STOOD_STILL)
    if failures:
        raise failures[0]
