"""A run that failed: why, for the operators; after the last one, the job's own word on what becomes of its work."""

import logging
from collections.abc import Mapping
from typing import Any

import procrastinate
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from database import transaction
from database.jobs.declare import Job
from database.jobs.models import JobFailure

log = logging.getLogger(__name__)


def note_failure(job: Job, run: procrastinate.jobs.Job, error: Exception, arguments: Mapping[str, Any]) -> None:
    """Never raises: the run has failed for another reason. Without PostgreSQL the job is not marked as failed either, and is
    run again.
    """
    try:
        if run.id is not None:
            _keep_reason(run.id, type(error).__name__)
        if job.when_failed is not None and _was_the_last(job, run):
            job.when_failed(run.id, error, **arguments)
    except Exception as problem:
        log.error("the failure of job %s could not be noted: %s", job.name, type(problem).__name__)  # noqa: TRY400


def _was_the_last(job: Job, run: procrastinate.jobs.Job) -> bool:
    return job.cron is not None or run.attempts >= job.retries


def _keep_reason(job_id: int, reason: str) -> None:
    said = {"reason": reason, "at": func.now()}
    with transaction() as session:
        session.execute(
            insert(JobFailure)
            .values(job_id=job_id, **said)
            .on_conflict_do_update(index_elements=[JobFailure.job_id], set_=said)
        )
