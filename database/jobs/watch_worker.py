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
    _Watched(app, jobs, database_url, options, once).run()


class _Watched:
    def __init__(self, app: Flask, jobs: Jobs, database_url: str, options: WorkerOptions, once: bool) -> None:
        self._work = (app, jobs, database_url, options)
        self._once = once
        self._options = options
        self._progress = WorkerProgress(options.concurrency, options.longest_job)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._end_at: float | None = None
        self._failure: BaseException | None = None

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        working = threading.Thread(target=self._run_loop, name="worker", daemon=True)
        working.start()
        while working.is_alive():
            working.join(LOOK_EVERY)  # signal handlers run meanwhile
            self._look()
        if self._failure is not None:
            raise self._failure

    def _run_loop(self) -> None:
        work = run_worker(*self._work, once=self._once, progress=self._progress, stopping=self._stopping)
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(work)
        except BaseException as error:
            self._failure = error

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._end_at is not None:
            os._exit(128 + number)
        self._end_at = time.monotonic() + self._options.stop_within + self._options.stop_margin
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._stopping.set)

    def _look(self) -> None:
        if self._end_at is not None:
            if time.monotonic() > self._end_at:
                log.error("the worker did not stop in time; %d jobs were cut off", self._progress.running)
                os._exit(CUT_OFF)
        elif (still := self._progress.standing_still()) > self._options.stuck_after:
            log.error(
                "the worker has not made progress for %d s with %d jobs running; it exits now",
                still,
                self._progress.running,
            )
            os._exit(STOOD_STILL)
