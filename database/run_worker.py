"""`flask worker run`: takes jobs out of PostgreSQL and runs them, and enqueues the periodic ones when they are due."""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import click
import procrastinate
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from procrastinate.exceptions import ConnectorException
from procrastinate.retry import RetryStrategy
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from database.engine import libpq_url
from database.jobs import QUEUE, Job, Jobs

log = logging.getLogger(__name__)

KEEP_FAILED_HOURS = 30 * 24

# One statement, so that two workers cannot both take a job over. A job that kills every worker ends as failed.
TAKE_OVER = """
    UPDATE procrastinate_jobs AS job
    SET status = CASE WHEN attempts < 10 THEN 'todo' ELSE 'failed' END::procrastinate_job_status,
        attempts = attempts + 1, scheduled_at = NULL, worker_id = NULL
    WHERE status = 'doing' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_workers AS worker
        WHERE worker.id = job.worker_id AND last_heartbeat >= now() - make_interval(secs => %(silence)s)
    )
    RETURNING task_name
"""
UNREACHABLE = (ConnectorException, OperationalError, PoolTimeout)


@dataclass(frozen=True)
class WorkerOptions:
    """Times are seconds. A worker that was silent for `stalled_after` counts as dead and its jobs are taken over."""

    concurrency: int = 4
    heartbeat: float = 5.0
    stalled_after: float = 30.0
    polling_interval: float = 5.0
    stop_within: float = 20.0
    reconnect_after: float = 2.0


def worker_commands(jobs: Jobs, database_url: str, options: WorkerOptions = WorkerOptions()) -> AppGroup:
    """The command group `worker`. Give the result to `app.cli.add_command`."""
    group = AppGroup("worker", help="Background jobs.")

    @group.command("run")
    @click.option("--once", is_flag=True, help="Run the jobs that are waiting, then end.")
    @with_appcontext
    def run(once: bool) -> None:
        """Run jobs until SIGTERM or Ctrl-C; running ones are finished first."""
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        asyncio.run(run_worker(app, jobs, database_url, options, once=once))

    return group


async def run_worker(app: Flask, jobs: Jobs, database_url: str, options: WorkerOptions, *, once: bool = False) -> None:
    """Work until a signal says stop. PostgreSQL may go away meanwhile: the worker waits for it to come back."""
    # procrastinate writes the arguments of every job into its lines, and they may hold an address. We log by ourselves.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    logging.getLogger("procrastinate.worker").disabled = True
    working = asyncio.ensure_future(_work(app, jobs, database_url, options, once))
    with suppress(NotImplementedError, RuntimeError, ValueError):  # only the main thread may listen to signals
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, working.cancel)
    with suppress(asyncio.CancelledError):
        await working
    log.info("worker stopped")


async def _work(app: Flask, jobs: Jobs, database_url: str, options: WorkerOptions, once: bool) -> None:
    while True:
        worker = worker_app(app, jobs, database_url, options)
        try:
            async with worker.open_async(), taking_over(worker, options):
                log.info("worker started")
                await worker.run_worker_async(
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
        except UNREACHABLE as error:
            if once:
                raise
            log.warning("the worker cannot reach PostgreSQL: %s", type(error).__name__)
        if once:
            return
        # procrastinate also ends without an error when one of its side tasks lost the connection.
        await asyncio.sleep(options.reconnect_after)


@asynccontextmanager
async def taking_over(worker: procrastinate.App, options: WorkerOptions) -> AsyncIterator[None]:
    """Meanwhile, the jobs of workers that died are put back into the queue, at the start and then regularly."""

    async def watch() -> None:
        while True:
            with suppress(*UNREACHABLE):
                rows = await worker.connector.execute_query_all_async(TAKE_OVER, silence=options.stalled_after)
                for row in rows:
                    log.warning("job %s of a dead worker is taken over", row["task_name"])
            await asyncio.sleep(options.stalled_after)

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def worker_app(app: Flask, jobs: Jobs, database_url: str, options: WorkerOptions) -> procrastinate.App:
    """procrastinate's application with every declared job and the clearing of old failed ones."""
    connector = procrastinate.PsycopgConnector(
        conninfo=libpq_url(database_url),
        kwargs={"application_name": "mirroros-worker", "connect_timeout": 5},
        min_size=1,
        max_size=options.concurrency + 1,  # one beats the heart; the listener has its own connection
    )
    worker = procrastinate.App(connector=connector)
    for job in jobs.declared.values():
        _register(worker, app, job)

    @worker.periodic(cron="17 3 * * *")
    @worker.task(name="delete_failed_jobs", queue=QUEUE)
    async def delete_failed_jobs(timestamp: int) -> None:
        await worker.job_manager.delete_old_jobs(KEEP_FAILED_HOURS, include_failed=True, include_aborted=True)

    return worker


def _register(worker: procrastinate.App, app: Flask, job: Job) -> None:
    if job.cron is None:
        retry = RetryStrategy(max_attempts=job.retries, exponential_wait=4) if job.retries else False
        worker.task(name=job.name, queue=QUEUE, retry=retry)(_observed(app, job))
        return

    def run_periodic(timestamp: int) -> None:
        _observed(app, job)()

    # The lock lets one run at a time. A failed run is not repeated: with the lock, its waiting repetition would hold
    # up the next regular one, which does the same work.
    task = worker.task(name=job.name, queue=QUEUE, lock=job.name)(run_periodic)
    worker.periodic(cron=job.cron)(task)


def _observed(app: Flask, job: Job) -> Callable[..., None]:
    """Jobs run side by side in threads. Each has a context of its own, because the database session belongs to it."""

    def run(**arguments: Any) -> None:
        started = time.monotonic()
        try:
            with app.app_context():
                result = job.run(**arguments)
        except Exception:
            log.exception("job %s failed", job.name)
            raise
        milliseconds = round((time.monotonic() - started) * 1000)
        log.info("job %s done in %d ms: %s", job.name, milliseconds, result if isinstance(result, int) else "-")

    return run
