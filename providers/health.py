"""Is a provider well? What its calls show, and when there were none for a minute, one question that costs nothing."""

import threading
from collections.abc import Callable
from datetime import datetime
from time import monotonic, perf_counter

from database.base import Clock, utc_now
from metering.breaker import Breaker, BreakerState, HealthSign
from providers.bodies import ProviderHealthAnswer, ProviderStatus
from providers.problems import ProviderFailed, ProviderMisconfigured

FRESH_SECONDS = 60.0
PROBE_SECONDS = 2.0


class ProviderHealth:
    """`probe` takes the seconds that it may last and raises a ProviderFailed. None for a mock, which is always well."""

    def __init__(
        self, name: str, breaker: Breaker, probe: Callable[[float], None] | None = None, clock: Clock = utc_now
    ) -> None:
        self._name = name
        self._breaker = breaker
        self._probe = probe
        self._clock = clock
        self._probing = threading.Lock()
        self._old_at = 0.0
        self._status = ProviderStatus.UNKNOWN if probe else ProviderStatus.UP
        self._checked_at: datetime | None = None
        self._latency_ms: int | None = None

    def note(self, failure: ProviderFailed | None, latency: float | None = None) -> None:
        """How a call ended; None for well. A failure that may be due to the question says nothing. `latency`: how many seconds
        the answer took.
        """
        if latency is not None:
            self._latency_ms = round(latency * 1000)
        if isinstance(failure, ProviderMisconfigured):
            self._set(ProviderStatus.MISCONFIGURED)
        elif failure is None or failure.health is HealthSign.GOOD:
            self._set(ProviderStatus.UP)
        elif failure.health is not HealthSign.UNKNOWN:
            unreachable = failure.health is HealthSign.UNREACHABLE
            self._set(ProviderStatus.DOWN if unreachable else ProviderStatus.DEGRADED)

    def read(self) -> ProviderHealthAnswer:
        """The first caller past a minute without calls probes; the others get what was known before, at once."""
        if self._probe and monotonic() >= self._old_at and self._probing.acquire(blocking=False):
            try:
                if monotonic() >= self._old_at:
                    self._ask(self._probe)
            finally:
                self._probing.release()
        return self.known()

    def known(self) -> ProviderHealthAnswer:
        """As its calls and questions have shown so far."""
        breaker, status = self._breaker.state(), self._status
        if status is not ProviderStatus.MISCONFIGURED:
            if breaker is BreakerState.OPEN:
                status = ProviderStatus.DOWN
            elif breaker is BreakerState.HALF_OPEN and status is ProviderStatus.UP:
                status = ProviderStatus.DEGRADED
        return ProviderHealthAnswer(
            name=self._name,
            configured=True,
            status=status,
            breaker=breaker,
            mock=self._probe is None,
            checked_at=self._checked_at,
            latency_ms=self._latency_ms,
        )

    def _ask(self, probe: Callable[[float], None]) -> None:
        started = perf_counter()
        try:
            probe(PROBE_SECONDS)
        except ProviderMisconfigured:
            self._set(ProviderStatus.MISCONFIGURED)
        except ProviderFailed as failure:
            self._set(ProviderStatus.UP if failure.health is HealthSign.GOOD else ProviderStatus.DOWN)
        else:
            self.note(None, perf_counter() - started)

    def _set(self, status: ProviderStatus) -> None:
        self._status, self._checked_at = status, self._clock()
        self._old_at = monotonic() + FRESH_SECONDS
