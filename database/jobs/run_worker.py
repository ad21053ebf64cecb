"""A worker: takes jobs out of PostgreSQL and runs them, and enqueues the periodic ones when they are due."""

import asyncio
import logging
import time
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from typing import Any

import procrastinate
from flask import Flask
from procrastinate import JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.retry import RetryStrategy
from procrastinate.worker import Worker
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from structlog.contextvars import bound_contextvars

from database.engine import libpq_url
from database.jobs.declare import QUEUE, Job, Jobs
from database.jobs.metrics import JOB_SECONDS, JOBS
from database.jobs.note_failure import note_failure
from database.jobs.sign_of_life import giving_signs_of_life
from database.jobs.take_jobs import ObservedJobs
from database.jobs.worker_options import WorkerOptions, connection_limits
from database.jobs.worker_progress import WorkerProgress

log = logging.getLogger(__name__)

UNREACHABLE = (ConnectorException, OperationalError, PoolTimeout)


async def run_worker(
    app: Flask,
    jobs: Jobs,
    database_url: str,
    options: WorkerOptions,
    *,
    once: bool = False,
    progress: WorkerProgress | None = None,
    stopping: asyncio.Event | None = None,
) -> None:
    """Work until `stopping` is set; running jobs are finished first. PostgreSQL may go away meanwhile: it is waited for.

    `once` ends it when no job is due any more. Do not cancel it: what waits for a connection of psycopg's pool may take its
    connection and go on instead (asyncio.wait_for before Python 3.12).
    """
    # procrastinate writes the arguments of every job into its lines, and they may hold an address. We log by ourselves.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    logging.getLogger("procrastinate.worker").disabled = True
    progress = progress or WorkerProgress(options.concurrency, options.longest_job)
    stopping = stopping or asyncio.Event()
    personal = {name for name, job in jobs.declared.items() if job.personal}
    with giving_signs_of_life(database_url, progress, options, personal):
        while not stopping.is_set():
            try:
                async with _connections(database_url, options) as pool:
                    await pool.wait(options.connect_within)
                    taking = _app_of(app, jobs, progress)
                    await taking.connector.open_async(pool)
                    log.info("worker started")
                    await _take_jobs(taking, options, progress, stopping, personal=personal, once=once)
            except UNREACHABLE as error:
                if once:
                    raise
                log.warning("the worker could not reach PostgreSQL: %s", type(error.__cause__ or error).__name__)
            if once:
                return
            # procrastinate also ends without an error when one of its side tasks lost the connection.
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), options.reconnect_after)
    log.info("worker stopped")


def _connections(database_url: str, options: WorkerOptions) -> AsyncConnectionPool[Any]:
    return AsyncConnectionPool(
        libpq_url(database_url),
        kwargs=connection_limits(),
        configure=lambda connection: connection.set_autocommit(True),  # procrastinate's listener sets it by itself
        check=AsyncConnectionPool.check_connection,
        min_size=1,
        max_size=options.concurrency + 1,  # one beats the heart; the listener has its own connection
        timeout=options.connect_within,
        open=False,
    )


async def _take_jobs(
    taking: procrastinate.App,
    options: WorkerOptions,
    progress: WorkerProgress,
    stopping: asyncio.Event,
    *,
    personal: Container[str],
    once: bool,
) -> None:
    """Until `stopping` is set or the connection is lost."""
    worker = Worker(
        app=taking,
        queues=[QUEUE],
        concurrency=options.concurrency,
        wait=not once,
        delete_jobs="successful",
        fetch_job_polling_interval=options.polling_interval,
        update_heartbeat_interval=options.heartbeat,
        stalled_worker_timeout=options.stalled_after,
        shutdown_graceful_timeout=options.stop_within,
        install_signal_handlers=False,
    )
    taking.job_manager = ObservedJobs(taking.connector, progress, worker.stop, personal)
    working = asyncio.ensure_future(worker.run())  # type: ignore[no-untyped-call]
    stop = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((working, stop), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    worker.stop()  # type: ignore[no-untyped-call]
    await working


def _app_of(app: Flask, jobs: Jobs, progress: WorkerProgress) -> procrastinate.App:
    """procrastinate's application with every declared job."""
    taking = procrastinate.App(connector=procrastinate.PsycopgConnector())
    for job in jobs.declared.values():
        name, urgency, run = str(job.name), int(job.urgency), _observed(app, job, progress)
        if job.cron is None:
            retry = RetryStrategy(max_attempts=job.retries, exponential_wait=4) if job.retries else False
            taking.task(name=name, queue=QUEUE, priority=urgency, retry=retry, pass_context=True)(run)
        else:
            # The lock lets one run at a time. A failed run is not repeated: with the lock, its waiting repetition would hold
            # up the next regular one, which does the same work.
            task = taking.task(name=name, queue=QUEUE, priority=urgency, lock=name, pass_context=True)(run)
            taking.periodic(cron=job.cron)(task)
    return taking


def _observed(app: Flask, job: Job, progress: WorkerProgress) -> Callable[..., None]:
    """Jobs run side by side in threads. Each has a context of its own, because the database session belongs to it.
    All log lines of a job have its name and number.
    """

    def run(context: JobContext, **arguments: Any) -> None:
        if job.cron is not None:
            arguments = {}  # procrastinate hands in the time at which it is due
        with bound_contextvars(job=str(job.name), job_id=context.job.id):
            run_logged(context, arguments)

    def run_logged(context: JobContext, arguments: Mapping[str, Any]) -> None:
        started = time.monotonic()
        try:
            with progress.job(), app.app_context():
                result = job.run(**arguments)
        except Exception as error:
            JOBS.labels(job.name, "failed").inc()
            log.exception("job %s failed", job.name)
            with app.app_context():
                note_failure(job, context.job, error, arguments)
            raise
        seconds = time.monotonic() - started
        JOBS.labels(job.name, "done").inc()
        JOB_SECONDS.labels(job.name).observe(seconds)
        log.info(
            "job %s done in %d ms: %s", job.name, round(seconds * 1000), result if isinstance(result, int) else "-"
        )

    return run
