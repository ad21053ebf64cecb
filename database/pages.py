"""Lists by pages: the newest rows first, and a cursor that is the id of a page's last row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute


class HasId(Protocol):
    @property
    def id(self) -> UUID: ...


Item = TypeVar("Item", bound=HasId)
AnySelect = TypeVar("AnySelect", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True)
class Page(Generic[Item]):
    items: Sequence[Item]
    next_cursor: UUID | None
    """None on the last page."""


def newest_first(query: AnySelect, key: InstrumentedAttribute[UUID], cursor: UUID | None, limit: int) -> AnySelect:
    """With one row more than the page has, which `page_of` takes away again. `key`: ids of version 7, in the order of time."""
    if cursor is not None:
        query = query.where(key < cursor)
    return query.order_by(key.desc()).limit(limit + 1)


def page_of(found: Sequence[Item], limit: int) -> Page[Item]:
    items = found[:limit]
    return Page(items, items[-1].id if len(found) > limit else None)
