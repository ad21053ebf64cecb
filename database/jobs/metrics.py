"""What a worker did, counted in its own process, and the jobs that failed for good, which PostgreSQL keeps for 30 days."""

from prometheus_client import Counter, Histogram

from database.figures import Figure

JOBS = Counter("mirroros_jobs_total", "Runs of background jobs; a failed run may be repeated", ("task", "outcome"))
JOB_SECONDS = Histogram(
    "mirroros_job_duration_seconds", "How long a run of a job took", ("task",), buckets=(0.05, 0.25, 1, 5, 30, 120, 600)
)

FAILED_JOBS = Figure(
    "mirroros_failed_jobs",
    "Jobs that failed for good and were not retried by anybody",
    "SELECT task_name, count(*) FROM procrastinate_jobs WHERE status = 'failed' GROUP BY task_name",
    labels=("task",),
)
