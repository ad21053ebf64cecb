"""How the workers are and what waits for them, for the health check and for operators."""

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg2

from database.engine import libpq_url
from database.jobs.declare import Urgency
from database.jobs.models import JobWorker
from database.schema import CONNECT_SECONDS, LIMIT

SILENT_AFTER = timedelta(seconds=30)
"""The age of the last sign of life at which jobs are said to stand still. A worker gives one every five seconds."""

WORKERS = f"""
    SELECT name, started_at, clock_timestamp() - last_sign_at, running FROM {JobWorker.__tablename__}
    ORDER BY last_sign_at DESC
"""  # nosec # noqa: S608
# A job without a time was due when it was enqueued, which its first event says.
WAITING = """
    SELECT priority, waiting, least(scheduled, (SELECT min(at) FROM procrastinate_events WHERE job_id = oldest))
    FROM (
        SELECT priority, count(*), min(scheduled_at), min(id) FILTER (WHERE scheduled_at IS NULL)
        FROM procrastinate_jobs
        WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= clock_timestamp())
        GROUP BY priority
    ) AS due (priority, waiting, scheduled, oldest)
    ORDER BY priority DESC
"""


@dataclass(frozen=True)
class WorkerSeen:
    """`silence`: the age of its last sign of life. `running`: how many jobs it had then."""

    name: str
    started_at: datetime
    silence: timedelta
    running: int


@dataclass(frozen=True)
class WaitingJobs:
    """Jobs of one urgency that are due, and since when the oldest is. `queue` is the urgency's name."""

    queue: str
    count: int
    since: datetime


@dataclass(frozen=True)
class WorkerStatus:
    """The worker that gave the last sign of life stands first, the most urgent jobs too."""

    workers: tuple[WorkerSeen, ...]
    waiting: tuple[WaitingJobs, ...]

    @property
    def at_work(self) -> bool:
        return bool(self.workers) and self.workers[0].silence < SILENT_AFTER


def worker_status(database_url: str) -> WorkerStatus:
    """Connects anew. Raises psycopg2's error."""
    connection = psycopg2.connect(libpq_url(database_url), connect_timeout=CONNECT_SECONDS)
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(LIMIT)
        cursor.execute(WORKERS)
        workers = tuple(WorkerSeen(*row) for row in cursor.fetchall())
        cursor.execute(WAITING)
        waiting = tuple(
            WaitingJobs(queue_name(priority), count, since.astimezone(UTC))
            for priority, count, since in cursor.fetchall()
        )
    return WorkerStatus(workers, waiting)


def queue_name(priority: int) -> str:
    return Urgency(priority).name.lower() if priority in set(Urgency) else str(priority)
