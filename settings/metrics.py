"""Who may read the metrics, and where."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field, SecretStr

from settings.process import ProcessSection
from settings.section import Complaint, secret_texts


class MetricsSection(ProcessSection):
    title: ClassVar = "Metrics"

    metrics_token: SecretStr | None = Field(default=None, examples=["development-only-metrics-token-change-me-51c2"])
    """The token that Prometheus sends as `Authorization: Bearer …` to read `GET /metrics`. Without it there is no such address."""
    worker_metrics_port: int | None = Field(default=None, ge=0, le=65535, examples=["9090"])
    """The port on which the worker serves its own `GET /metrics`, to the same token. Without it the worker
    listens to nothing; with 0 it takes any free port and logs it."""

    def contradictions(self) -> Iterator[Complaint]:
        if self.worker_metrics_port is not None and self.metrics_token is None:
            yield "METRICS_TOKEN", "must be set as well, like WORKER_METRICS_PORT"

    def remarks(self) -> Iterator[str]:
        if self.metrics_token is None:
            yield "METRICS_TOKEN is not set: nobody can read the metrics, so no alert of deploy/monitoring can fire."

    def secrets(self) -> dict[str, str]:
        return secret_texts(metrics_token=self.metrics_token)
