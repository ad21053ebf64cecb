"""Asks the parts that the service stands on whether they work, with a deadline, whatever a part does."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from database.jobs.worker_status import WorkerStatus, worker_status
from database.redis.server import RedisAddress, ping
from database.schema import SchemaNotCurrent, schema_check
from security.api.models import AnswerBody

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 0.7
"""Readiness must answer within a second even when a part hangs."""
FRESH_SECONDS = 1.0
"""An answer is given again for so long, so that nobody can load PostgreSQL through the open health addresses."""


@dataclass(frozen=True)
class Part:
    """`check` raises when the part does not work; it must end by itself in the end. Of workers it says how they are.

    A part that is not `required` is reported but does not make the service unready.
    """

    check: Callable[[], WorkerStatus | None]
    required: bool = True


class PartHealth(AnswerBody):
    status: Literal["ok", "failing", "not_configured"]
    problem: Literal["unreachable", "no_answer", "migrations_missing", "standing_still"] | None
    latency_ms: int


@dataclass(frozen=True)
class Finding:
    """What was found about one part. Its `problem` is a fixed word, never the text of an error, which may hold a secret."""

    health: PartHealth
    workers: WorkerStatus | None = None

    @property
    def working(self) -> bool:
        return self.health.problem is None


@dataclass
class HealthCheck:
    """Checks run in threads of their own, at most one for each part: a part that hangs cannot pile them up."""

    parts: Mapping[str, Part]
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _running: dict[str, tuple[float, "Future[Finding]"]] = field(default_factory=dict, init=False)

    def examine(self) -> dict[str, Finding]:
        """One finding for each part, in the time of the slowest, at most DEADLINE_SECONDS."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        started = {name: self._start(name) for name in self.parts}
        return {name: await_finding(future, deadline) for name, future in started.items()}

    def examine_part(self, name: str) -> Finding:
        return await_finding(self._start(name), time.monotonic() + DEADLINE_SECONDS)

    def _start(self, name: str) -> "Future[Finding]":
        """The check that runs or has just ended; otherwise a new one."""
        with self._lock:
            started, future = self._running.get(name, (0.0, None))
            if future is not None and (not future.done() or time.monotonic() - started < FRESH_SECONDS):
                return future
            future = Future()
            self._running[name] = (time.monotonic(), future)
        threading.Thread(target=run_check, args=(name, self.parts[name], future), daemon=True).start()
        return future


def health_check(database_url: str, redis: RedisAddress | None, more: Mapping[str, Part]) -> HealthCheck:
    """What every process stands on, and `more`."""
    parts = {
        "database": Part(schema_check(database_url)),
        "worker": Part(partial(worker_status, database_url), required=False),
        **more,
    }
    if redis is not None:
        parts["redis"] = Part(partial(ping, redis), required=False)
    return HealthCheck(parts)


def run_check(name: str, part: Part, future: "Future[Finding]") -> None:
    started = time.monotonic()
    problem = workers = None
    try:
        workers = part.check()
        if workers is not None and not workers.at_work:
            problem = "standing_still"
    except SchemaNotCurrent:
        problem = "migrations_missing"
    except Exception as error:
        problem = "unreachable"
        log.warning("health_part_failed", extra={"part": name, "problem": problem, "reason": type(error).__name__})
    future.set_result(Finding(_health(problem, time.monotonic() - started), workers))


def await_finding(future: "Future[Finding]", deadline: float) -> Finding:
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except FutureTimeout:
        return Finding(_health("no_answer", DEADLINE_SECONDS))


def _health(problem: Any, seconds: float) -> PartHealth:
    return PartHealth(status="failing" if problem else "ok", problem=problem, latency_ms=round(seconds * 1000))
