"""A row of a list, with whose it is."""

from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

Row = TypeVar("Row")


@dataclass(frozen=True)
class Listed(Generic[Row]):
    """`id` is the row's own. `email` is that of its account; None when it has none, or not any more."""

    id: UUID
    row: Row
    email: str | None
