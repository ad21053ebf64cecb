"""The workers' signs of life, for health checks and operators."""

import uuid
from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


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
