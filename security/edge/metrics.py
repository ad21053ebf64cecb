"""Requests as the edge sees them, by the route's rule and never by the path, which anybody can make up."""

from dataclasses import dataclass
from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram

from security.edge.request_id import Exchange

METRICS_PATH = "/metrics"
"""A scraper inside the private network asks it, over plain http and by a number instead of a name."""

REQUESTS = Counter("mirroros_http_requests_total", "Requests that were answered", ("route", "method", "status"))
DURATION = Histogram(
    "mirroros_http_request_duration_seconds",
    "From the request's arrival at the application to its answer; of a stream to its first byte",
    ("route",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
SIZE = Histogram(
    "mirroros_http_response_size_bytes",
    "Bodies of answers; streams are left out",
    ("route",),
    buckets=(256, 1024, 4096, 16384, 65536, 262144),
)
THREADS_BUSY = Gauge(
    "mirroros_web_threads_busy", "Threads that answer a request now, of all web processes", multiprocess_mode="livesum"
)
THREADS_LIMIT = Gauge(
    "mirroros_web_threads_limit",
    "Threads that all web processes may have (WEB_THREADS for each)",
    multiprocess_mode="livesum",
)
GIVEN_UP = Counter(
    "mirroros_web_connections_given_up_total",
    "Connections that were closed while a client was waited for: 408 too slow, 429 too many of one address, 503 no room",
    ("status",),
)
UNMATCHED = "unmatched"
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class _Measures:
    """Bound once, because to look labels up costs more than to count."""

    answered: Counter
    duration: Histogram
    size: Histogram


_bound: dict[tuple[str, str, int], _Measures] = {}


def record_request(exchange: Exchange, route: str | None, status: int, size: int | None) -> None:
    """`route`: its rule, None for what no route matches. `size`: bytes of the body, None for a stream."""
    what = (route or UNMATCHED, exchange.method, status)
    measures = _bound.get(what)
    if measures is None:
        measures = _bind(*what)
    measures.answered.inc()
    measures.duration.observe(perf_counter() - exchange.started)
    if size is not None:
        measures.size.observe(size)


def _bind(route: str, method: str, status: int) -> _Measures:
    method_label = method if method in KNOWN_METHODS else "other"
    measures = _Measures(REQUESTS.labels(route, method_label, status), DURATION.labels(route), SIZE.labels(route))
    if method_label == method:  # else anybody could fill the memory with methods of their own
        _bound[route, method, status] = measures
    return measures
