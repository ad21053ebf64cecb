"""Gauges of one process, such as connections in use. The others read them from a file, which has them once a second."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Gauge


@dataclass(frozen=True)
class Live:
    """`gauge`, with its labels, says what `read` does. Its `multiprocess_mode` is one that forgets a process that ended."""

    gauge: Gauge
    read: Callable[[], float]
