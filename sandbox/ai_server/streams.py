"""A stream as a face puts it: what opens it, its chunks, and what ends it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MARK = "\ue000"
encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Chunk:
    """`data` are the events as they go out: none where tokens are made in silence."""

    data: str
    tokens: int = 0
    text: str = ""
    """Of the answer, as far as this chunk carries it."""


@dataclass(frozen=True)
class Stream:
    """`error` is what ends it in place of `ending` when the provider breaks down on the way."""

    opening: str
    chunks: Iterable[Chunk]
    ending: str
    error: str
    tokens: int
    """Of the whole answer, as they are billed when it has come to its end."""
    garbage: str = 'data: {"id": "chatcmpl-\n\n'


def written_with(write: Callable[[str], str]) -> Callable[[str], str]:
    """The same as `write` for a text that stands in it as JSON. The rest is encoded once: it is most of the work of a chunk."""
    parts = write(MARK).split(encoded(MARK))
    return lambda text: encoded(text).join(parts)
