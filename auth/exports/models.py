"""The table of exports."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7


class DataExport(Base):
    """What is held about one user, collected when the user asked for it. A job fills it in, another one deletes it."""

    __tablename__ = "data_exports"
    __table_args__ = (
        CheckConstraint("(content IS NULL) = (ready_at IS NULL)", name="content_has_time"),
        Index("ix_data_exports_user_id_requested_at", "user_id", "requested_at"),
        Index("ix_data_exports_expires_at", "expires_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    requested_at: Mapped[datetime]
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    content: Mapped[str | None] = mapped_column(Text, deferred=True)
    """JSON, as it is downloaded. Read only where it is asked for: it can be large."""

    @property
    def status(self) -> str:
        return "collecting" if self.ready_at is None else "ready"
