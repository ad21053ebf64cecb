"""The table of invite codes."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, Integer, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7


class Invite(Base):
    """A code that lets `max_uses` accounts be made. `code_hash` is its HMAC; `created_by` is who says to have made it."""

    __tablename__ = "invites"
    __table_args__ = (CheckConstraint("uses >= 0 AND uses <= max_uses", name="uses_within_max"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    max_uses: Mapped[int] = mapped_column(Integer)
    uses: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    note: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
