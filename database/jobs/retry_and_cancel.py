"""What operators do to single jobs: run one again or at once, and take one away."""

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from database.jobs.declare import Jobs
from database.jobs.list_jobs import STATES, JobState
from database.jobs.models import JOBS

RETRY = text("SELECT procrastinate_retry_job_v2(:job_id, NULL, NULL, NULL, NULL)")
MOST_JOBS = 2**63 - 1


class JobNotChanged(Exception):
    """The message says why, for the operator."""


def retry_job(session: Session, jobs: Jobs, job_id: int) -> str:
    """Let a failed job run once more, and one that waits for its time at once. Returns its name. Raises JobNotChanged."""
    name, state = _hold(session, job_id)
    job = jobs.declared.get(name)
    if state is JobState.RUNNING:
        raise JobNotChanged(f"Job {job_id} is running.")
    if job is None:
        raise JobNotChanged(f"Job {job_id} cannot run: this version has no job named {name}.")
    if state is JobState.WAITING:
        at_once = update(JOBS).where(JOBS.c.id == job_id, JOBS.c.scheduled_at > func.now())
        if session.execute(at_once.values(scheduled_at=None).returning(JOBS.c.id)).first() is None:
            raise JobNotChanged(f"Job {job_id} is already waiting for a worker.")
    elif job.personal:
        raise JobNotChanged(
            f"Job {job_id} cannot run again: it concerned a person, so its arguments were deleted when it failed."
        )
    else:
        session.execute(RETRY, {"job_id": job_id})
    return name


def cancel_job(session: Session, job_id: int) -> str:
    """Delete a job that waits or failed, so that it never runs. Returns its name. Raises JobNotChanged."""
    name, state = _hold(session, job_id)
    if state is JobState.RUNNING:
        raise JobNotChanged(f"Job {job_id} is running and cannot be cancelled.")
    session.execute(delete(JOBS).where(JOBS.c.id == job_id))
    return name


def _hold(session: Session, job_id: int) -> tuple[str, JobState]:
    """Of a job whose row is locked from now on, so that no worker takes it meanwhile."""
    query = select(JOBS.c.task_name, JOBS.c.status).where(JOBS.c.id == job_id).with_for_update()
    found = session.execute(query).one_or_none() if 0 < job_id <= MOST_JOBS else None
    if found is None or found[1] not in STATES:
        raise JobNotChanged(f"There is no job {job_id}. Jobs are deleted when they succeed.")
    return found[0], STATES[found[1]]
