"""The table of refresh tokens of Apple."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7


class AppleRefreshToken(Base):
    """What takes back, at Apple, that a person signs in here with one of our apps (`client_id`). It signs nobody in.

    The token is sealed (see auth/data_keys.py). One whose identity is gone is to be revoked, whatever took the identity away;
    the row goes when that is done (revoke.py).
    """

    __tablename__ = "apple_refresh_tokens"
    __table_args__ = (
        UniqueConstraint("identity_id", "client_id"),
        Index("ix_apple_refresh_tokens_created_at_let_go", "created_at", postgresql_where=text("identity_id IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    identity_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("identities.id", ondelete="SET NULL"))
    client_id: Mapped[str] = mapped_column(Text)
    sealed_token: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
