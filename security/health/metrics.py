"""What the health check finds, as metrics: whether each part works, how the workers are, and what waits for them."""

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from database.jobs.declare import Urgency
from database.jobs.worker_status import SILENT_AFTER, WorkerStatus
from security.health.check import HealthCheck


class HealthMetrics(Collector):
    """Shares the health check's answers of the last second. What PostgreSQL knows of workers is left out while it is away."""

    def __init__(self, health: HealthCheck) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("mirroros_part_up", "1 while this process can use the part, else 0", labels=("part",))
        latency = GaugeMetricFamily(
            "mirroros_part_latency_seconds", "How long the part took to answer on a new connection", labels=("part",)
        )
        for name, finding in self._health.examine().items():
            up.add_metric([name], float(finding.working))
            latency.add_metric([name], finding.health.latency_ms / 1000)
            if finding.workers is not None:
                yield from metrics_of_workers(finding.workers)
        yield from (up, latency)


def metrics_of_workers(status: WorkerStatus) -> Iterator[Metric]:
    """The same from every process: take the largest, never the sum."""
    at_work = sum(worker.silence < SILENT_AFTER for worker in status.workers)
    yield GaugeMetricFamily(
        "mirroros_workers", "Workers that asked for a job within the last 30 seconds", value=at_work
    )
    waiting = GaugeMetricFamily("mirroros_queue_jobs", "Jobs that are due and not taken by a worker", labels=("queue",))
    oldest = GaugeMetricFamily(
        "mirroros_queue_oldest_seconds", "How long the job that has waited longest is due", labels=("queue",)
    )
    now, found = datetime.now(UTC), {jobs.queue: jobs for jobs in status.waiting}
    for queue in {*(urgency.name.lower() for urgency in Urgency), *found}:
        jobs = found.get(queue)
        waiting.add_metric([queue], jobs.count if jobs else 0)
        oldest.add_metric([queue], max(0.0, (now - jobs.since).total_seconds()) if jobs else 0)
    yield from (waiting, oldest)
