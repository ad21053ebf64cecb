"""The filters of the ledger."""

from typing import Annotated

from pydantic import Field

from admin.list_filter import ListFilter


class LedgerQuery(ListFilter):
    feature: Annotated[str, Field(max_length=64)] | None = None
    window: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2}(T\d{2})?)?$")] | None = None
    """A day, a month or an hour: 2026-11-29, 2026-11 or 2026-11-29T05."""
