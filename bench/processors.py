"""Which processor runs what: the measured worker has one for itself, everything else shares the others."""

import os
import sys
from collections.abc import Callable, Set
from dataclasses import dataclass

from sandbox.postgres import stop_with_parent


@dataclass(frozen=True)
class Processors:
    """Processor numbers. `gateway` is None where processes are not pinned, as with one processor only and where there is no Linux."""

    gateway: int | None
    others: Set[int]

    def keep_to_others(self) -> None:
        """Pin this process. What it starts inherits that, unless it is started with `on_gateway`."""
        if self.gateway is not None and sys.platform == "linux":
            os.sched_setaffinity(0, self.others)

    def move_to_gateway(self) -> None:
        """Pin the calling process to the measured worker's processor."""
        if self.gateway is not None and sys.platform == "linux":
            os.sched_setaffinity(0, {self.gateway})

    @property
    def on_gateway(self) -> Callable[[], None]:
        """Runs in a child before its program: pins it, and lets the kernel stop it when this process is gone."""

        def settle() -> None:
            if stop_with_parent is not None:
                stop_with_parent()
            self.move_to_gateway()

        return settle

    def __str__(self) -> str:
        if self.gateway is None:
            return "nothing is pinned"
        return f"the worker alone on processor {self.gateway}, all else on {sorted(self.others)}"


NOT_PINNED = Processors(None, frozenset())


def share_processors() -> Processors:
    """The last processor for the worker, the rest for the load, the stub, PostgreSQL and Redis."""
    if sys.platform != "linux":
        return NOT_PINNED
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        return NOT_PINNED
    return Processors(usable[-1], frozenset(usable[:-1]))
