"""The table of identities at other providers."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class Identity(Base):
    """One account at Apple or Google that signs in to one of ours.

    The provider's subject is the key, never the e-mail address: an address changes hands (OWASP ASVS 5, 6.8.1). `id` is what
    its owner names it by.
    """

    __tablename__ = "identities"
    __table_args__ = (
        CheckConstraint("provider IN ('apple', 'google')", name="provider_known"),
        Index("ix_identities_user_id", "user_id"),
    )

    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=text("gen_random_uuid()"))
