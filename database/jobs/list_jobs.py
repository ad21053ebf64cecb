"""Jobs that wait, run or failed, for operators. Nothing is said of their arguments, which may name people."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, Text, cast, func, select
from sqlalchemy.orm import Session

from database.jobs.models import EVENTS, JOBS, JobFailure
from database.jobs.worker_status import queue_name


class JobState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"


KEPT_AS = {JobState.WAITING: "todo", JobState.RUNNING: "doing", JobState.FAILED: "failed"}
"""procrastinate's words for them. What succeeded is not kept."""
STATES = {kept: state for state, kept in KEPT_AS.items()}
STATUS = cast(JOBS.c.status, Text)


@dataclass(frozen=True)
class ListedJob:
    """`runs_at`: a job that waits is not due before it. `reason`: the kind of the error that its last run ended with."""

    id: int
    name: str
    state: JobState
    queue: str
    attempts: int
    enqueued_at: datetime | None
    runs_at: datetime | None
    reason: str | None
    failed_at: datetime | None


def list_jobs(
    session: Session,
    *,
    state: JobState | None = None,
    name: str | None = None,
    below: int | None = None,
    limit: int,
) -> list[ListedJob]:
    """The newest first. `below`: only jobs with a smaller number."""
    query = _jobs().order_by(JOBS.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(STATUS.in_([KEPT_AS[state]]))
    if name is not None:
        query = query.where(JOBS.c.task_name == name)
    if below is not None:
        query = query.where(JOBS.c.id < below)
    return [_listed(*row) for row in session.execute(query)]


def read_job(session: Session, job_id: int) -> ListedJob | None:
    row = session.execute(_jobs().where(JOBS.c.id == job_id)).one_or_none()
    return None if row is None else _listed(*row)


def count_jobs(session: Session) -> dict[JobState, int]:
    counted = session.execute(select(STATUS, func.count()).group_by(STATUS))
    counts: dict[str, int] = {kept: count for kept, count in counted}  # noqa: C416 - mypy knows no other way
    return {state: counts.get(kept, 0) for state, kept in KEPT_AS.items()}


def _jobs() -> Select[*tuple[Any, ...]]:
    enqueued_at = select(func.min(EVENTS.c.at)).where(EVENTS.c.job_id == JOBS.c.id, EVENTS.c.type == "deferred")
    return (
        select(
            JOBS.c.id,
            JOBS.c.task_name,
            STATUS,
            JOBS.c.priority,
            JOBS.c.attempts,
            enqueued_at.scalar_subquery(),
            JOBS.c.scheduled_at,
            JobFailure.reason,
            JobFailure.at,
        )
        .outerjoin_from(JOBS, JobFailure, JobFailure.job_id == JOBS.c.id)
        .where(STATUS.in_(STATES))
    )


def _listed(number: int, name: str, kept: str, priority: int, *rest: Any) -> ListedJob:
    return ListedJob(number, name, STATES[kept], queue_name(priority), *rest)
