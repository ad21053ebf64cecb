"""The size of the web server: its processes, their threads, and who waits for one."""

import os
import sys
from typing import ClassVar

from pydantic import Field

from settings.process import ProcessSection
from settings.section import Place

MOST_WEB_PROCESSES = 4
"""A container often sees all cores of its host.

Each process has its own database pool, so more must be asked for.
"""


USUAL_WEB_THREADS = 600


class WebServerSection(ProcessSection):
    title: ClassVar = "Size of the web server"

    web_concurrency: int = Field(ge=1, le=64, examples=["1"])
    """The number of web processes. Default: 1 in development, otherwise one per core, at most 4."""
    web_threads: int = Field(ge=4, le=4096, examples=["600"])
    """The number of threads in each web process. Each request in progress uses one. Default: 600, and one more for each request
    that a product holds for long."""
    web_waiting_per_address: int = Field(default=100, ge=8, le=1000)
    """How many connections from one address a web process keeps waiting for a request. If there are more, the one that
    has waited longest is closed. Requests in progress do not count."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        processes = 1 if place.is_development else min(usable_cores(), MOST_WEB_PROCESSES)
        return {"web_concurrency": str(processes), "web_threads": str(USUAL_WEB_THREADS)}


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
