"""Jobs: what failed is kept for 30 days, for the operators."""

from datetime import timedelta

from sqlalchemy import Text, cast, exists, func, select

from database.batch import purge
from database.batch_models import PassedOverItem
from database.jobs.declare import Job
from database.jobs.models import EVENTS, JOBS, JobFailure

KEEP = timedelta(days=30)


def forget_failed_jobs() -> int:
    """Returns how many were deleted."""
    lately = exists().where(EVENTS.c.job_id == JOBS.c.id, EVENTS.c.at >= func.now() - KEEP)
    ended = cast(JOBS.c.status, Text).in_(("failed", "succeeded", "cancelled", "aborted"))
    return purge("forget_failed_jobs", select(JOBS.c.id).where(ended, ~lately))


def forget_job_failures() -> int:
    """Returns how many were deleted."""
    return purge("forget_job_failures", select(JobFailure.job_id).where(JobFailure.at < func.now() - KEEP))


def forget_passed_over_items() -> int:
    """Returns how many were deleted."""
    over = select(PassedOverItem.batch, PassedOverItem.item).where(PassedOverItem.last_at < func.now() - KEEP)
    return purge("forget_passed_over_items", over)


UPKEEP_JOBS = (
    Job("forget_failed_jobs", forget_failed_jobs, cron="17 3 * * *"),
    Job("forget_job_failures", forget_job_failures, cron="17 3 * * *"),
    Job("forget_passed_over_items", forget_passed_over_items, cron="17 3 * * *"),
)
