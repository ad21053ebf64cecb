"""Where the next page of a list begins: an id, which clients send back as it came."""

from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, WithJsonSchema


def _as_written(value: object) -> object:
    """`UUID()` would also take upper case, braces and URNs."""
    if isinstance(value, str) and str(UUID(value)) != value:
        raise ValueError("Send the cursor unchanged")
    return value


Cursor = Annotated[
    UUID,
    BeforeValidator(_as_written),
    WithJsonSchema(
        {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    ),
]
