"""Is the private server well? Asked at most every ten seconds, by one thread, and never with a prediction."""

import threading
from time import monotonic

from database.base import Clock, utc_now
from gateway.bodies import HealthStatus, PrivateHealthAnswer
from gateway.private_server.client import PrivateServer
from metering.breaker import Breaker, BreakerState

FRESH_SECONDS = 10.0
PROBE_SECONDS = 2.0


class PrivateServerHealth:
    """The first caller past ten seconds probes; the others get what was known before, at once."""

    def __init__(self, private_server: PrivateServer, breaker: Breaker, clock: Clock = utc_now) -> None:
        self._private_server = private_server
        self._breaker = breaker
        self._clock = clock
        self._probing = threading.Lock()
        self._old_at = 0.0
        self._last = PrivateHealthAnswer(
            status=HealthStatus.UNKNOWN, checked_at=None, latency_ms=None, breaker=BreakerState.CLOSED
        )

    def read(self) -> PrivateHealthAnswer:
        if monotonic() >= self._old_at and self._probing.acquire(blocking=False):
            try:
                if monotonic() >= self._old_at:
                    self._probe()
            finally:
                self._probing.release()
        last, breaker = self._last, self._breaker.state()
        degraded = last.status is HealthStatus.UP and breaker is not BreakerState.CLOSED
        return last.model_copy(
            update={"breaker": breaker, "status": HealthStatus.DEGRADED if degraded else last.status}
        )

    def _probe(self) -> None:
        checked_at, started = self._clock(), monotonic()
        answered = self._private_server.answers_health(PROBE_SECONDS)
        now = monotonic()
        self._last = PrivateHealthAnswer(
            status=HealthStatus.UP if answered else HealthStatus.DOWN,
            checked_at=checked_at,
            latency_ms=round((now - started) * 1000),
            breaker=BreakerState.CLOSED,
        )
        self._old_at = now + FRESH_SECONDS
