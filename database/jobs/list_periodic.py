"""The jobs of the clock, for operators: when each was last due and is due next, and how it failed last."""

from dataclasses import dataclass
from datetime import UTC, datetime

from croniter import croniter
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from database.jobs.declare import Jobs
from database.jobs.models import JOBS, PERIODIC_DEFERS, JobFailure


@dataclass(frozen=True)
class PeriodicJob:
    """`last_at`: when a worker enqueued it last. None if none has. The failure is at most 30 days old."""

    name: str
    cron: str
    last_at: datetime | None
    next_at: datetime
    reason: str | None
    failed_at: datetime | None


def list_periodic(session: Session, jobs: Jobs, now: datetime) -> list[PeriodicJob]:
    """Whose turn is next stands first."""
    periodic = {str(name): job.cron for name, job in jobs.declared.items() if job.cron is not None}
    enqueued = select(PERIODIC_DEFERS.c.task_name, func.max(PERIODIC_DEFERS.c.defer_timestamp))
    turns = session.execute(enqueued.group_by(PERIODIC_DEFERS.c.task_name))
    last: dict[str, int] = {name: at for name, at in turns}  # noqa: C416
    failures = (
        select(JOBS.c.task_name, JobFailure.reason, JobFailure.at)
        .join_from(JOBS, JobFailure, JobFailure.job_id == JOBS.c.id)
        .where(JOBS.c.task_name.in_(periodic))
        .ext(distinct_on(JOBS.c.task_name))
        .order_by(JOBS.c.task_name, JobFailure.at.desc())
    )
    failed = {name: (reason, at) for name, reason, at in session.execute(failures)}
    found = [
        PeriodicJob(
            name,
            cron,
            datetime.fromtimestamp(last[name], UTC) if name in last else None,
            croniter(cron, now).get_next(datetime),
            *failed.get(name, (None, None)),
        )
        for name, cron in periodic.items()
    ]
    return sorted(found, key=lambda job: (job.next_at, job.name))
