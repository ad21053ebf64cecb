"""The metrics of a process that serves no HTTP otherwise: `GET /metrics` on a port of its own, for whoever has the token."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from security.edge.metrics import METRICS_PATH
from security.metrics.exposition import CONTENT_TYPE, Metrics
from security.metrics.scraper import has_token

log = logging.getLogger(__name__)

SECONDS_FOR_A_REQUEST = 5


@contextmanager
def metrics_listener(metrics: Metrics, token: str, port: int) -> Iterator[None]:
    """Meanwhile. A port that cannot be listened to is logged and ends nothing."""
    try:
        server = _Server(("0.0.0.0", port), _handler_of(metrics, token))  # nosec B104 # noqa: S104
    except OSError as error:
        log.warning("metrics_not_served", extra={"port": port, "reason": type(error).__name__})
        yield
        return
    log.info("metrics_served", extra={"port": server.server_port})
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(HTTPServer):
    """One request at a time: a flood of them must not take the process's memory."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.warning("metrics_request_failed")


def _handler_of(metrics: Metrics, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS_FOR_A_REQUEST

        def do_GET(self) -> None:
            if self.path != METRICS_PATH or not has_token(self.headers.get("Authorization", ""), token):
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = metrics.text().encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return "mirroros"

        def log_message(self, *_: Any) -> None:
            """Scrapes are no news."""

    return Handler
