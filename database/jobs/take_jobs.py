"""procrastinate's manager of jobs, with a statement of our own for taking one, and told apart what it could not write down."""

from collections.abc import Callable, Container, Iterable
from datetime import datetime

from procrastinate.connector import BaseConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from database.jobs.worker_progress import WorkerProgress

# procrastinate's function joins every waiting job with every other one to look for locks. Few of ours have a lock, and here
# only theirs are looked for, so that a job costs the same however many wait (docs/performance.md has the figures).
TAKE = """
    UPDATE procrastinate_jobs SET status = 'doing', worker_id = %(worker_id)s
    WHERE id = (
        SELECT id FROM procrastinate_jobs AS job
        WHERE status = 'todo' AND queue_name = ANY(%(queues)s) AND (scheduled_at IS NULL OR scheduled_at <= now())
            AND (lock IS NULL OR NOT EXISTS (
                SELECT 1 FROM procrastinate_jobs AS other
                WHERE other.lock = job.lock AND (
                    other.status = 'doing'
                    OR other.status = 'todo' AND (other.priority, -other.id) > (job.priority, -job.id)
                )
            ))
        ORDER BY priority DESC, id LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id
"""


FORGET_ARGUMENTS = "UPDATE procrastinate_jobs SET args = '{}' WHERE id = %(id)s"


class ObservedJobs(JobManager):
    """`give_up` is called when the end of a job could not be written down: the job stays ours until we are gone. Of the jobs
    named in `personal` no arguments are kept once they failed for good."""

    def __init__(
        self,
        connector: BaseConnector,
        progress: WorkerProgress,
        give_up: Callable[[], None],
        personal: Container[str],
    ) -> None:
        super().__init__(connector)
        self._personal = personal
        self._progress = progress
        self._give_up = give_up

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        rows = await self.connector.execute_query_all_async(TAKE, queues=list(queues or ()), worker_id=worker_id)
        self._progress.asked()
        return Job.from_row(rows[0]) if rows else None

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        try:
            if not delete_job and job.task_name in self._personal:
                await self.connector.execute_query_async(FORGET_ARGUMENTS, id=job.id)
            await super().finish_job(job, status, delete_job)
        except Exception:
            self._give_up()
            raise

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        try:
            await super().retry_job(job, retry_at, priority, queue, lock)
        except Exception:
            self._give_up()
            raise
