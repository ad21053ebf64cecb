"""Whether Redis or PostgreSQL admits metered calls at this moment, and which processes know it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class RedisEpochRow(Base):
    """The one row that all processes agree on. `number` rises with every change of `backend`."""

    __tablename__ = "redis_epoch"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        CheckConstraint("backend IN ('redis', 'postgres')", name="backend"),
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
    backend: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(Text)
    changed_at: Mapped[datetime]


class RedisEpochMember(Base):
    """One process that may hold reservations in Redis. `epoch` is the last number that it has acknowledged."""

    __tablename__ = "redis_epoch_members"

    member: Mapped[UUID] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)
    alive_until: Mapped[datetime]
    reaches_redis: Mapped[bool]
