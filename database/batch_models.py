"""Which items of batches failed and were passed over, for the operators."""

from datetime import datetime

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class PassedOverItem(Base):
    """One row an item, however often it fails. `item` is a key of a table or of a provider, never a name or an address."""

    __tablename__ = "passed_over_items"
    __table_args__ = (Index("ix_passed_over_items_last_at", "last_at"),)

    batch: Mapped[str] = mapped_column(Text, primary_key=True)
    item: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    times: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
