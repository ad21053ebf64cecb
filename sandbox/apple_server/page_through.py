"""Pages of twenty with an opaque token for the next one, as the App Store Server API cuts every list."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

PAGE_SIZE = 20

Item = TypeVar("Item")


class UnknownPageToken(Exception):
    """The token was not made here, or for other search terms."""


@dataclass(frozen=True)
class Page(Generic[Item]):
    items: Sequence[Item]
    token: str
    """For the next page; good as well for asking later whether there is more."""
    has_more: bool


def page_through(items: Sequence[Item], token: str | None, terms: str = "") -> Page[Item]:
    """Raises UnknownPageToken. `terms` are what was searched for: a token belongs to one search."""
    begins = read_token(token, terms) if token else 0
    ends = min(begins + PAGE_SIZE, len(items))
    return Page(items[begins:ends], write_token(ends, terms), ends < len(items))


def write_token(position: int, terms: str) -> str:
    return urlsafe_b64encode(json.dumps([position, terms]).encode()).decode()


def read_token(token: str, terms: str) -> int:
    try:
        position, made_for = json.loads(urlsafe_b64decode(token))
    except (ValueError, TypeError) as broken:
        raise UnknownPageToken from broken
    if made_for != terms or not isinstance(position, int):
        raise UnknownPageToken
    return position
