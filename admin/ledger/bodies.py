"""The filters of the ledger."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from admin.list_filter import ListFilter

WINDOW = re.compile(r"\d{4}-\d{2}(-\d{2}(T\d{2})?)?", re.ASCII)


def _window(text: str) -> str:
    if WINDOW.fullmatch(text) is None:
        raise ValueError("Enter a day, a month or an hour: 2026-11-29, 2026-11 or 2026-11-29T05")
    return text


class LedgerQuery(ListFilter):
    feature: Annotated[str, Field(max_length=64)] | None = None
    window: Annotated[str, AfterValidator(_window)] | None = None
