"""The workers' signs of life and why jobs failed, for health checks and operators; and procrastinate's own tables."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, column, table
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base

JOBS = table(
    "procrastinate_jobs",
    *map(column, ("id", "status", "task_name", "priority", "lock", "scheduled_at", "attempts", "args")),
)
EVENTS = table("procrastinate_events", *map(column, ("job_id", "type", "at")))
PERIODIC_DEFERS = table("procrastinate_periodic_defers", *map(column, ("task_name", "defer_timestamp")))
"""What procrastinate brings along (migrations/versions/0001_procrastinate.py), as far as we read it."""


class JobWorker(Base):
    """One row a worker process, which takes it away when it ends in order; that of a dead one stays for a day.

    `last_sign_at` is when the worker last asked PostgreSQL for a job, so it stands still when the worker does no work.
    procrastinate's own `last_heartbeat` goes on then: it is written beside the loop that takes jobs. What neither shows is
    a job that does nothing useful.
    """

    __tablename__ = "job_workers"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime]
    last_sign_at: Mapped[datetime]
    running: Mapped[int]


class JobFailure(Base):
    """Why a job failed last: the kind of the error alone, as its text may quote what the job was about."""

    __tablename__ = "job_failures"
    __table_args__ = (Index("ix_job_failures_at", "at"),)

    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
