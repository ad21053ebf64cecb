"""The JSON bodies of exports."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from security.api.cursor import ListAnswer
from security.api.models import AnswerBody


class ExportAnswer(AnswerBody):
    id: UUID
    status: Literal["collecting", "ready"]
    requested_at: datetime
    ready_at: datetime | None
    expires_at: datetime
    """When we delete it."""


class ExportsAnswer(ListAnswer):
    exports: list[ExportAnswer]


class ExportDocument(AnswerBody):
    user_id: UUID
    collected_at: datetime
    parts: dict[str, dict[str, Any]]
    """Your data by part of the service, such as `account`."""
