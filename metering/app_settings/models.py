"""The table of app settings."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base


class StoredSetting(Base):
    """An app setting that staff changed; one that is not here has its default. `updated_by`: the account of whoever did it, which
    it may outlive; None for the operator.
    """

    __tablename__ = "app_settings"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB(none_as_null=True))
    updated_by: Mapped[UUID | None]
    updated_at: Mapped[datetime]
