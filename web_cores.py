"""Which core each process of the web server runs on.

Python's lock lets one thread of a process run at a time. The system does not know that and wakes threads up on other cores,
where they wait for the lock, for the core to wake up, and for what the old core has in its caches (docs/scaling.md has figures).
"""

import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable


def assignable_cores() -> frozenset[int]:
    """Those that the system lets us use. Empty where a process cannot be kept on one."""
    return frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else frozenset()


def core_for_next(cores: Collection[int], used: Iterable[int | None], processes: int) -> int | None:
    """The core with the fewest of the `processes`. None where the cores would not get the same number of them each: then the
    system must be free to move them.
    """
    if not cores or processes % len(cores):
        return None
    counts = Counter(used)
    return min(sorted(cores), key=lambda core: counts[core])
