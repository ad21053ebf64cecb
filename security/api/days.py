"""Days and months in queries, UTC."""

import re
from datetime import date
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

FULL_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
YEAR_AND_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


def _date(text: object) -> date:
    """RFC 3339, 5.6, which is what `date` promises; pydantic would take a number of seconds too."""
    try:
        if isinstance(text, str) and FULL_DATE.fullmatch(text) is not None:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("Enter a date such as 2026-01-31")


def _month(text: object) -> date:
    try:
        if isinstance(text, str) and YEAR_AND_MONTH.fullmatch(text) is not None:
            return date.fromisoformat(f"{text}-01")
    except ValueError:
        pass
    raise ValueError("Enter a month such as 2026-01")


Day = Annotated[date, BeforeValidator(_date)]
Month = Annotated[
    date,
    BeforeValidator(_month),
    WithJsonSchema({"type": "string", "pattern": "^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])$"}),
]
"""Its first day."""
