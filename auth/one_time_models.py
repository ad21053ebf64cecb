"""The table of one-time codes."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class OneTimeCode(Base):
    """One mail that proves that its reader owns an address: a link, or six digits to type.

    Neither stands here: both are computed from the id and a key (see one_time_codes.py). `email` is where it was sent.
    """

    __tablename__ = "one_time_codes"
    __table_args__ = (
        Index(
            "uq_one_time_codes_user_id_purpose_open",
            "user_id",
            "purpose",
            unique=True,
            postgresql_where=text("used_at IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    link_expires_at: Mapped[datetime]
    code_expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    used_at: Mapped[datetime | None]
