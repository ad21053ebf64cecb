"""Background jobs, kept in PostgreSQL by procrastinate: enqueued in the transaction that wants them, run by workers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import orjson
import structlog
from flask import has_request_context
from sqlalchemy import text
from sqlalchemy.orm import Session

QUEUE = "default"

ENQUEUE = text("""
    SELECT (procrastinate_defer_jobs_v1(ARRAY[
        ROW(:queue, :name, :urgency, NULL, NULL, CAST(:arguments AS jsonb), NULL)::procrastinate_job_to_defer_v1
    ]))[1]
""")


class Urgency(IntEnum):
    """Of two jobs that wait, a worker takes the more urgent one, whichever was there first. Kept as procrastinate's priority."""

    LATER = 0
    MAIL = 10
    PAYMENTS = 20


class JobName(str):
    """The name of a job that is enqueued. It says how urgent the job is, for whoever enqueues it need not know its declaration."""

    urgency: Urgency

    def __new__(cls, name: str, urgency: Urgency) -> "JobName":
        made = super().__new__(cls, name)
        made.urgency = urgency
        return made


@dataclass(frozen=True)
class Job:
    """A piece of background work. `run` gets the arguments that it was enqueued with, in an application context.

    A job runs at least once: a worker that dies between the work and its acknowledgement leaves it to the next one,
    so `run` must bear being repeated. `cron` (five fields, UTC) makes it periodic: it takes no arguments, and its next
    turn is the repetition of a failed one. `retries` is how often a failed run of another job is repeated, after 4,
    16, 64 ... seconds; then the job is kept as failed, for 30 days. A plain text as `name` means Urgency.LATER.
    `personal`: its arguments name people, so what is kept of a failed one has none. `when_failed` gets the job's number,
    the error and the arguments of the last run before that.
    """

    name: str
    run: Callable[..., object]
    cron: str | None = None
    retries: int = 5
    personal: bool = False
    when_failed: Callable[..., object] | None = None

    @property
    def urgency(self) -> Urgency:
        return self.name.urgency if isinstance(self.name, JobName) else Urgency.LATER


@dataclass(frozen=True)
class Jobs:
    """Every job that this application knows. The names are unique."""

    declared: Mapping[str, Job] = field(default_factory=dict)

    @classmethod
    def of(cls, jobs: Iterable[Job]) -> "Jobs":
        declared: dict[str, Job] = {}
        for job in jobs:
            if job.name in declared:
                raise ValueError(f"two jobs are named {job.name}")
            declared[job.name] = job
        return cls(declared)


def enqueue_job(session: Session, name: JobName, **arguments: Any) -> int:
    """Add a job to the session's transaction and return its number. It exists once that transaction is committed.

    The arguments must be JSON values. Nobody runs a job whose name is not declared.
    """
    values = {"queue": QUEUE, "name": str(name), "urgency": int(name.urgency)}
    number: int = session.execute(ENQUEUE, {**values, "arguments": orjson.dumps(arguments).decode()}).scalar_one()
    if has_request_context():  # it leads from the lines of a request to those of its jobs
        structlog.get_logger().info("job_enqueued", job=str(name), job_id=number)
    return number
