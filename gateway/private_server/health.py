"""Is the private server well? Asked at most every ten seconds, by one thread, and never with a prediction."""

import threading
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from database.base import Clock, utc_now
from gateway.bodies import HealthStatus, PrivateHealthAnswer
from gateway.private_server.client import PrivateServer
from metering.breaker import Breaker, BreakerState

FRESH_SECONDS = 10.0
PROBE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Probe:
    answered: bool
    checked_at: datetime
    latency_ms: int
    taken: float


class PrivateServerHealth:
    """The first caller past ten seconds probes; the others get what was known before, at once."""

    def __init__(self, private_server: PrivateServer, breaker: Breaker, clock: Clock = utc_now) -> None:
        self._private_server = private_server
        self._breaker = breaker
        self._clock = clock
        self._probing = threading.Lock()
        self._last: _Probe | None = None

    def read(self) -> PrivateHealthAnswer:
        if self._is_old(self._last) and self._probing.acquire(blocking=False):
            try:
                if self._is_old(self._last):
                    self._last = self._probe()
            finally:
                self._probing.release()
        breaker = self._breaker.state()
        last = self._last
        if last is None:
            return PrivateHealthAnswer(status=HealthStatus.UNKNOWN, checked_at=None, latency_ms=None, breaker=breaker)
        status = HealthStatus.DOWN
        if last.answered:
            status = HealthStatus.UP if breaker is BreakerState.CLOSED else HealthStatus.DEGRADED
        return PrivateHealthAnswer(
            status=status, checked_at=last.checked_at, latency_ms=last.latency_ms, breaker=breaker
        )

    def _is_old(self, probe: _Probe | None) -> bool:
        return probe is None or monotonic() - probe.taken >= FRESH_SECONDS

    def _probe(self) -> _Probe:
        checked_at, started = self._clock(), monotonic()
        answered = self._private_server.answers_health(PROBE_SECONDS)
        now = monotonic()
        return _Probe(answered, checked_at, round((now - started) * 1000), now)
