"""The table of devices that signed in before."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7


class KnownDevice(Base):
    """A device that knew the password once. Its token opens nothing: it only gives the device a count of tries of its own."""

    __tablename__ = "known_devices"
    __table_args__ = (Index("ix_known_devices_user_id", "user_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
