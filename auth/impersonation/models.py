"""The table of impersonations."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7


class Impersonation(Base):
    """A member of the staff looks at the service as one user. `actor_session_id` is the session it hangs on.

    Somebody looks through one account at a time: an earlier one ends when the next begins.
    """

    __tablename__ = "impersonations"
    __table_args__ = (
        Index(
            "uq_impersonations_actor_id_running",
            "actor_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_impersonations_user_id", "user_id"),
        Index("ix_impersonations_actor_session_id", "actor_session_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    actor_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    actor_session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    reason: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
