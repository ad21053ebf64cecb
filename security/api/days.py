"""Days and months in queries, UTC."""

import re
from datetime import date
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

FULL_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
YEAR_AND_MONTH = "[12][0-9]{3}-(0[1-9]|1[0-2])"
"""The next month is a date too."""


def _date(text: object) -> date:
    """RFC 3339, 5.6, which is what `date` promises; pydantic would take a number of seconds too."""
    try:
        if isinstance(text, str) and FULL_DATE.fullmatch(text) is not None:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("Enter a date such as 2026-01-31")


def _month(text: object) -> date:
    if isinstance(text, str) and re.fullmatch(YEAR_AND_MONTH, text) is not None:
        return date.fromisoformat(f"{text}-01")
    raise ValueError("Enter a month such as 2026-01")


Day = Annotated[date, BeforeValidator(_date)]
Month = Annotated[
    date,
    BeforeValidator(_month),
    WithJsonSchema({"type": "string", "pattern": f"^{YEAR_AND_MONTH}$"}),
]
"""Its first day."""
