"""What this process, or the web server that it is part of, says about itself in Prometheus' text format."""

import os
from collections.abc import Iterable, Iterator, Sequence

import structlog
from prometheus_client import REGISTRY, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from security.metrics.live import Live
from security.metrics.process_files import VARIABLE, complete_counts
from security.metrics.shared_values import share_values

METRICS = "metrics"
"""Where the application keeps its `Metrics`: `app.extensions[METRICS]`."""
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """`collectors` are asked at each scrape. One that fails is left out, with a line in the log."""

    def __init__(self, collectors: Sequence[Collector], live: Iterable[Live]) -> None:
        self._collectors = (*collectors, CountedMetrics())
        self._live = tuple(live)

    def watch(self, *live: Live) -> None:
        """What whoever runs the application knows of this process."""
        self._live += live

    def measure(self) -> None:
        """Put down how things are in this process, where the others find it. The web server does so once a second."""
        for each in self._live:
            try:
                each.gauge.set(each.read())
            except Exception as error:  # else it would end the web server's main loop
                structlog.get_logger().error("metric_not_read", metric=str(each.gauge), cause=type(error).__name__)
        share_values()

    def text(self) -> str:
        self.measure()
        return generate_latest(self).decode()

    def collect(self) -> Iterator[Metric]:
        for each in self._collectors:
            try:
                yield from list(each.collect())
            except Exception as error:
                structlog.get_logger().error(
                    "metrics_not_collected", collector=type(each).__name__, cause=type(error).__name__
                )


class CountedMetrics(Collector):
    """The metrics that modules define: of this process, or of all processes of its web server."""

    def __init__(self) -> None:
        self._folder = os.environ.get(VARIABLE)
        self._shared = None if self._folder is None else MultiProcessCollector(None)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        if self._folder is None or self._shared is None:
            return REGISTRY.collect()
        with complete_counts(self._folder):
            return list(self._shared.collect())  # type: ignore[no-untyped-call]


class BuildInfo(Collector):
    def __init__(self, version: str, environment: str) -> None:
        self._labels = [version, environment]

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("mirroros_build_info", "What runs here; always 1", labels=("version", "environment"))
        info.add_metric(self._labels, 1)
        yield info
