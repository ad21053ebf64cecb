"""`flask worker` and `flask jobs`: the workers, and single jobs."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from database import reading, transaction
from database.batch_models import PassedOverItem
from database.jobs.declare import Jobs
from database.jobs.list_jobs import JobState, ListedJob, list_jobs
from database.jobs.retry_and_cancel import JobNotChanged, cancel_job, retry_job
from database.jobs.watch_worker import run_watched_worker
from database.jobs.worker_options import WorkerOptions
from database.jobs.worker_status import WorkerStatus, worker_status

SHOWN_FOR = timedelta(days=7)

FAILED = text("""
    SELECT task_name, count(*), max((SELECT max(at) FROM procrastinate_events WHERE job_id = job.id))
    FROM procrastinate_jobs AS job WHERE status = 'failed' GROUP BY task_name ORDER BY task_name
""")


def worker_commands(
    jobs: Jobs,
    database_url: str,
    beside: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> AppGroup:
    """Give the result to `app.cli.add_command`. `beside` is entered while a worker runs."""
    group = AppGroup("worker", help="Run and inspect background jobs.")

    @group.command("run")
    @click.option("--once", is_flag=True, help="Run the waiting jobs, then exit.")
    @with_appcontext
    def run(once: bool) -> None:
        """Run jobs until SIGTERM or Ctrl-C. Running jobs are finished first; a second signal stops immediately."""
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        with beside():
            run_watched_worker(app, jobs, database_url, WorkerOptions(), once=once)

    @group.command("status")
    @with_appcontext
    def status() -> None:
        """Show workers, jobs and skipped items.

        Lists the workers, waiting and failed jobs, and the items that batches skipped in the last 7 days.
        """
        for line in status_lines(worker_status(database_url)):
            click.echo(line)

    return group


def job_commands(jobs: Jobs) -> AppGroup:
    group = AppGroup("jobs", help="List, retry and cancel background jobs.")

    @group.command("list")
    @click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state.")
    @click.option("--name", help="Only jobs with this name, such as send_email.")
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    def list_command(state: str | None, name: str | None, limit: int) -> None:
        """List jobs, newest first. Their arguments are not shown, because they may name people."""
        with reading() as session:
            found = list_jobs(session, state=JobState(state) if state else None, name=name, limit=limit)
        for job in found:
            click.echo(job_line(job))
        if not found:
            click.echo("No jobs.")

    @group.command("retry")
    @click.argument("job_id", type=int)
    def retry(job_id: int) -> None:
        """Run a failed job again, or a waiting one now."""
        with changing_a_job() as session:
            name = retry_job(session, jobs, job_id)
        click.echo(f"Job {job_id} ({name}) runs as soon as a worker is free.")

    @group.command("cancel")
    @click.argument("job_id", type=int)
    def cancel(job_id: int) -> None:
        """Delete a waiting or failed job."""
        with changing_a_job() as session:
            name = cancel_job(session, job_id)
        click.echo(f"Job {job_id} ({name}) is deleted.")

    return group


@contextmanager
def changing_a_job() -> Iterator[Session]:
    try:
        with transaction() as session:
            yield session
    except JobNotChanged as refusal:
        raise click.ClickException(str(refusal)) from None


def job_line(job: ListedJob) -> str:
    parts = [str(job.id), job.name, job.state.value, f"attempts {job.attempts}"]
    if job.enqueued_at is not None:
        parts.append(f"since {moment(job.enqueued_at)}")
    if job.state is JobState.WAITING and job.runs_at is not None:
        parts.append(f"not before {moment(job.runs_at)}")
    if job.reason is not None and job.failed_at is not None:
        parts.append(f"{job.reason} at {moment(job.failed_at)}")
    return "  ".join(parts)


def status_lines(status: WorkerStatus) -> Iterator[str]:
    now = datetime.now(UTC)
    lately = select(PassedOverItem).where(PassedOverItem.last_at > func.now() - SHOWN_FOR)
    with reading() as session:
        failed: Any = session.execute(FAILED).all()
        passed_over = session.scalars(lately.order_by(PassedOverItem.last_at.desc())).all()
    sections = {
        "Workers": [
            f"{worker.name}  last seen {in_words(worker.silence)} ago, {worker.running} running,"
            f" started {moment(worker.started_at)}"
            for worker in status.workers
        ]
        or ["No worker is running. Start one with `flask worker run`"],
        "Waiting jobs": [
            f"{jobs.queue:<10} {jobs.count}, the oldest waiting for {in_words(now - jobs.since)}"
            for jobs in status.waiting
        ],
        "Failed jobs": [f"{name}  {count}, last {moment(last)}" for name, count, last in failed],
        "Items that batches skipped in the last 7 days": [
            f"{it.batch}  {it.item}  {it.reason}, {it.times} times, last {moment(it.last_at)}" for it in passed_over
        ],
    }
    for title, lines in sections.items():
        yield f"{title}:"
        yield from (f"  {line}" for line in lines or ["none"])


def in_words(age: timedelta) -> str:
    seconds = max(0, round(age.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
