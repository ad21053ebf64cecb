"""`GET /metrics`, for Prometheus. It exists while METRICS_TOKEN is set, and is left out of the OpenAPI document."""

from dataclasses import dataclass

from flask import Blueprint, Response

from security.api.answers import Content
from security.api.operation import Answer, operation
from security.edge.metrics import METRICS_PATH
from security.metrics.exposition import CONTENT_TYPE, Metrics
from security.metrics.scraper import Scraper


@dataclass(frozen=True)
class Exposition(Content):
    """Prometheus' text format."""

    media_type = "text/plain"
    documented = False

    def respond(self, answer: Answer) -> Response:
        return Response(answer.body, answer.status, content_type=CONTENT_TYPE)  # type: ignore[arg-type]


def metrics_routes(metrics: Metrics, token: str) -> Blueprint:
    routes = Blueprint("metrics", __name__)

    @operation(
        routes,
        "GET",
        METRICS_PATH,
        operation_id="getMetrics",
        summary="Read the metrics",
        guard=Scraper(token),
        answers={200: Exposition()},
    )
    def read_metrics() -> Answer:
        """Of all processes of this web server."""
        return Answer(200, metrics.text())

    return routes
