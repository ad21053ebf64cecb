"""A worker's sign of life in the database, and the taking over of jobs whose worker gives none any more.

Both run on a plain thread with connections of their own: they go on while the worker's event loop is stuck.
"""

import logging
import os
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg

from database.engine import libpq_url
from database.jobs.worker_options import WorkerOptions, connection_limits
from database.jobs.worker_progress import WorkerProgress

log = logging.getLogger(__name__)

SIGN = """
    INSERT INTO job_workers (id, name, started_at, last_sign_at, running)
    VALUES (%(id)s, %(name)s, now(), now() - make_interval(secs => %(silence)s), %(running)s)
    ON CONFLICT (id) DO UPDATE SET last_sign_at = excluded.last_sign_at, running = excluded.running
"""
FORGET = "DELETE FROM job_workers WHERE id = %(id)s OR last_sign_at < now() - interval '1 day'"

# One statement, so that two workers cannot both take a job over. A job that kills every worker ends as failed, and
# keeps no arguments that name people.
TAKE_OVER = """
WITH taken AS (
    UPDATE procrastinate_jobs AS job
    SET status = CASE WHEN attempts < 10 THEN 'todo' ELSE 'failed' END::procrastinate_job_status,
        args = CASE WHEN attempts >= 10 AND task_name = ANY(%(personal)s) THEN '{}' ELSE args END,
        attempts = attempts + 1, scheduled_at = NULL, worker_id = NULL
    WHERE status = 'doing' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_workers AS worker
        WHERE worker.id = job.worker_id AND last_heartbeat >= now() - make_interval(secs => %(silence)s)
    )
    RETURNING id, task_name
), noted AS (
    INSERT INTO job_failures (job_id, reason, at) SELECT id, 'WorkerDied', now() FROM taken
    ON CONFLICT (job_id) DO UPDATE SET reason = excluded.reason, at = excluded.at
)
SELECT task_name FROM taken
"""


@contextmanager
def giving_signs_of_life(
    database_url: str, progress: WorkerProgress, options: WorkerOptions, personal: Collection[str]
) -> Iterator[None]:
    """Meanwhile, and once at the beginning. Without PostgreSQL it tries again and again.

    Of the jobs named in `personal` no arguments are kept once they failed for good.
    """
    over, worker_id = threading.Event(), uuid4()
    url = libpq_url(database_url)

    def give() -> None:
        while True:
            try:
                give_sign(url, worker_id, progress, options, personal)
            except psycopg.Error as error:
                progress.unanswered()
                log.warning("the worker could not record its heartbeat: %s", type(error).__name__)
            if over.wait(options.heartbeat):
                break
        try:
            with psycopg.connect(url, autocommit=True, **connection_limits()) as connection:
                connection.execute(FORGET, {"id": worker_id})
        except psycopg.Error as error:
            log.warning("the worker could not remove its heartbeat: %s", type(error).__name__)

    giving = threading.Thread(target=give, name="signs of life", daemon=True)
    giving.start()
    try:
        yield
    finally:
        over.set()
        giving.join(options.stop_margin)


def give_sign(
    url: str, worker_id: UUID, progress: WorkerProgress, options: WorkerOptions, personal: Collection[str]
) -> None:
    sign = {"id": worker_id, "name": f"{socket.gethostname()}:{os.getpid()}", "running": progress.running}
    with psycopg.connect(url, autocommit=True, **connection_limits()) as connection:
        connection.execute(SIGN, {**sign, "silence": progress.silence()})
        dead = {"silence": options.stalled_after, "personal": list(personal)}
        taken_over = connection.execute(TAKE_OVER, dead).fetchall()
    progress.answered(3 * options.heartbeat)
    for (task_name,) in taken_over:
        log.warning("job %s of a dead worker was taken over", task_name)
