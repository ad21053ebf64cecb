"""Processor time that processes have used, user and system together, in seconds."""

from contextlib import suppress

import psutil


def of_process(pid: int) -> float:
    """One process with all its threads. The kernel counts in steps of 10 ms, so measure over seconds."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def of_family(pid: int) -> float:
    """A process, its living children and those that have ended: PostgreSQL starts a process for every connection."""
    parent = psutil.Process(pid)
    total = 0.0
    for process in (parent, *parent.children()):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    times = parent.cpu_times()
    ended: float = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total + ended
