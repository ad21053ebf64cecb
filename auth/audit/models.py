"""The table of security events."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7


class SecurityEvent(Base):
    """Something that happened to an account. Rows are only ever added; a trigger refuses every change but forgetting where it
    came from, when the account is deleted (forget_origins.py).

    `user_id` is whose account it concerns, `actor_id` who did it when that is somebody else. Neither is a foreign key: the
    record outlives the account. Nothing here is secret, and `detail` holds no address and no token, nor a name but in a
    `reason` that the staff typed.
    """

    __tablename__ = "security_events"
    __table_args__ = (
        Index("ix_security_events_user_id_occurred_at_id", "user_id", "occurred_at", "id"),
        Index("ix_security_events_event_occurred_at_id", "event", "occurred_at", "id"),
        Index("ix_security_events_occurred_at_id", "occurred_at", "id"),
        Index("ix_security_events_actor_id", "actor_id", postgresql_where=text("actor_id IS NOT NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    occurred_at: Mapped[datetime]
    event: Mapped[str] = mapped_column(Text)
    user_id: Mapped[uuid.UUID | None]
    actor_id: Mapped[uuid.UUID | None]
    session_id: Mapped[uuid.UUID | None]
    ip: Mapped[str | None] = mapped_column(Text)
    user_agent: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB)
