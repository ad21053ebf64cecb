"""The table of e-mails that failed."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class DeadEmail(Base):
    """An e-mail that is not tried any more, with what it takes to send it again. An operator does that, or drops it.

    Of a link or a code there is only the id of its one-time code. `id` is that of the message (RFC 5322, 3.6.4), `user_id` whose
    account it is about, `reason` the kind of the error, `job_id` the job that failed and goes with it; a refused e-mail has none.
    """

    __tablename__ = "dead_emails"
    __table_args__ = (
        Index("ix_dead_emails_user_id", "user_id"),
        Index("ix_dead_emails_failed_at", "failed_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    template: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    values: Mapped[dict[str, Any]] = mapped_column(JSONB)
    code_id: Mapped[uuid.UUID | None]
    purpose: Mapped[str | None] = mapped_column(Text)
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    failed_at: Mapped[datetime]
