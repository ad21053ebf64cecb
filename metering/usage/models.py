"""The budgets that users set themselves."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class UsageBudget(Base):
    """The most that a user wants to be charged for in one UTC month. No row: no budget.

    `told_month` is the month of the last e-mail about it, and `told_percent` how much of the budget was used by then.
    """

    __tablename__ = "usage_budgets"
    __table_args__ = (CheckConstraint("monthly_cents >= 0", name="monthly_cents_not_negative"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    monthly_cents: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    told_month: Mapped[str | None] = mapped_column(Text)
    told_percent: Mapped[int | None]
