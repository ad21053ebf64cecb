"""A small map for one process that never outgrows its limit."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Forgets the entry that was put in first when it is full. Reading takes no lock, so it costs a dictionary look-up."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        self._writing = threading.Lock()

    def get(self, key: Key) -> Value | None:
        return self._entries.get(key)

    def put(self, key: Key, value: Value) -> None:
        with self._writing:
            self._entries.pop(key, None)
            while len(self._entries) >= self._limit:
                self._entries.popitem(last=False)
            self._entries[key] = value

    def forget(self, key: Key) -> None:
        with self._writing:
            self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
