"""Lists, everywhere alike: `cursor` and `limit` are asked for, `next_cursor` is told."""

from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field, WithJsonSchema

from security.api.models import WHOLE, AnswerBody, Body


def _as_written(value: object) -> object:
    """`UUID()` would also take upper case, braces and URNs."""
    if isinstance(value, str) and not _is_written_so(value):
        raise ValueError("Send the cursor unchanged")
    return value


def _is_written_so(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


Cursor = Annotated[
    UUID,
    BeforeValidator(_as_written),
    WithJsonSchema(
        {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    ),
]
"""Where the next page of a list begins: the id of the last row, which clients send back as it came."""


class ListQuery(Body):
    """Base of the query of every list."""

    cursor: Cursor | None = None
    """`next_cursor` of the previous page."""
    limit: Annotated[int, Field(ge=1, le=200), WHOLE] = 50


class ListAnswer(AnswerBody):
    """Base of the answer of every list. Its rows are a member of their own, under their plural noun."""

    next_cursor: Cursor | None
    """Send it as `cursor` to get the next page. Null on the last page."""
