"""Metered calls by feature: what limits decided, how they ended, and what they cost beside the upstream's own time."""

from functools import lru_cache
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

DECISIONS = Counter(
    "mirroros_limit_decisions_total",
    "What limits said to metered calls: admitted, or refused by a policy (day, burst, concurrency, failures and others)",
    ("feature", "decision", "policy"),
)
TURNED_AWAY = Counter(
    "mirroros_calls_turned_away_total",
    "Calls answered with 503 before they were made: breaker_open, too_many_in_flight or limits_unavailable",
    ("feature", "reason"),
)
UPSTREAM_SECONDS = Histogram(
    "mirroros_upstream_duration_seconds",
    "How long the upstream of a metered call took, by how it ended: delivered, failed or cut_short",
    ("feature", "outcome"),
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300),
)
UPSTREAM_FAILURES = Counter(
    "mirroros_upstream_failures_total",
    "Why calls failed at their upstream: the error_code of their rows, such as timeout, connect_failed or status_500",
    ("feature", "reason"),
)
OVERHEAD_SECONDS = Histogram(
    "mirroros_gateway_overhead_seconds",
    "What a delivered call took beside its upstream: limits, idempotency and settling",
    ("feature",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
REFUSED_AT_SETTLING = Counter(
    "mirroros_refused_at_settling_total",
    "Calls that were made and not delivered, because others had used up the limit meanwhile",
    ("feature",),
)
NOT_RECORDED = Counter(
    "mirroros_usage_not_recorded_total",
    "Calls whose end PostgreSQL did not confirm: call (not delivered), stream (delivered) or failure",
    ("kind",),
)
BREAKER_OPEN = Gauge(
    "mirroros_breaker_open",
    "Web processes that do not call the upstream now, or only to try it",
    ("upstream",),
    multiprocess_mode="livesum",
)
IN_FLIGHT = Gauge(
    "mirroros_calls_in_flight",
    "Calls of the upstream now, of all web processes",
    ("upstream",),
    multiprocess_mode="livesum",
)
IN_FLIGHT_LIMIT = Gauge(
    "mirroros_calls_in_flight_limit",
    "Calls of the upstream that all web processes may have at once",
    ("upstream",),
    multiprocess_mode="livesum",
)

CALL_NOT_RECORDED, STREAM_NOT_RECORDED, FAILURE_NOT_RECORDED = (
    NOT_RECORDED.labels(kind) for kind in ("call", "stream", "failure")
)


class FeatureMeasures(NamedTuple):
    """Bound once, because to look labels up costs more than to count."""

    admitted: Counter
    delivered: Histogram
    failed: Histogram
    overhead: Histogram
    refused_at_settling: Counter


@lru_cache(256)
def measures_of(feature: str) -> FeatureMeasures:
    return FeatureMeasures(
        DECISIONS.labels(feature, "admitted", ""),
        UPSTREAM_SECONDS.labels(feature, "delivered"),
        UPSTREAM_SECONDS.labels(feature, "failed"),
        OVERHEAD_SECONDS.labels(feature),
        REFUSED_AT_SETTLING.labels(feature),
    )
