"""Counts of a web process, kept in its memory. The other processes see them once a second, and at its end.

prometheus_client writes each single change into a file that is mapped into memory, which costs more than twice as much. What
this gives up is the last second of a process that is killed.
"""

from typing import Any

from prometheus_client import values
from prometheus_client.values import MultiProcessValue, MutexValue

_InFile: Any = MultiProcessValue()  # type: ignore[no-untyped-call]
_kept: list["SharedValue"] = []


class SharedValue(MutexValue):
    """One number of a metric, with its copy in the file."""

    _multiprocess = True

    def __init__(self, *named: Any, **options: Any) -> None:
        super().__init__(*named, **options)  # type: ignore[no-untyped-call]
        self._copy = _InFile(*named, **options)
        self._value = self._copied = self._copy.get()
        _kept.append(self)

    def share(self) -> None:
        value = self._value
        if value != self._copied:
            self._copy.set(value)
            self._copied = value


def keep_values_in_memory() -> None:
    """For metrics that are defined from now on."""
    values.ValueClass = SharedValue


def share_values() -> None:
    """Nothing where each process answers for itself."""
    for value in tuple(_kept):
        value.share()
