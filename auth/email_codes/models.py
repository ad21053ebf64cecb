"""The table of one-time codes."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class OneTimeCode(Base):
    """One e-mail that proves that its reader owns an address: a link, or six digits to type.

    Neither is stored: both are computed from the id and a key (see one_time_codes.py). `email` is where it was sent,
    `session_id` the session that asked for it, if one did.
    """

    __tablename__ = "one_time_codes"
    __table_args__ = (
        Index(
            "uq_one_time_codes_user_id_purpose_open",
            "user_id",
            "purpose",
            unique=True,
            postgresql_where=text("used_at IS NULL AND purpose <> 'undo_email_change'"),
        ),
        Index("ix_one_time_codes_address", text("lower(email)"), postgresql_where=text("used_at IS NULL")),
        Index("ix_one_time_codes_user_id", "user_id"),
        Index("ix_one_time_codes_link_expires_at", "link_expires_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    session_id: Mapped[uuid.UUID | None]
    created_at: Mapped[datetime]
    link_expires_at: Mapped[datetime]
    code_expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    used_at: Mapped[datetime | None]
