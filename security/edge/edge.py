"""The request's edge, put together: what happens before any handler and what stands on every answer."""

from collections.abc import Collection
from typing import Any

from flask import Flask, Response, request

from security.edge.client_address import EXTENSION_KEY, TrustedProxies, is_loopback, is_private
from security.edge.error_handlers import install_error_handlers
from security.edge.metrics import METRICS_PATH, record_request
from security.edge.problems import HttpsRequired, MalformedRequest
from security.edge.request_id import current_exchange
from security.edge.response_headers import SecurityHeaders
from security.logs.log import RequestLog

ABSOLUTE_BODY_LIMIT = 1024 * 1024
FORWARDED = {"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"}
"""A proxy sends one of them, so whoever sends none is beside us."""


def install_edge(
    app: Flask,
    *,
    require_https: bool,
    trusted_proxy_hops: int,
    trusted_hosts: Collection[str],
    request_log: RequestLog | None = None,
) -> None:
    """Install error handling and the two hooks that every request passes.

    `trusted_hosts` empty means any host.
    """
    proxies = TrustedProxies(trusted_proxy_hops)
    app.extensions[EXTENSION_KEY] = proxies
    app.config["TRUSTED_HOSTS"] = list(trusted_hosts) or None
    app.config["MAX_CONTENT_LENGTH"] = ABSOLUTE_BODY_LIMIT
    # Werkzeug would redirect `//health` with an HTML page.
    app.url_map.merge_slashes = False
    install_error_handlers(app)

    app.wsgi_app = SecurityHeaders(app.wsgi_app, proxies)  # type: ignore[method-assign]

    @app.before_request
    def admit() -> Response | None:
        environ = request.environ
        if "HTTP_HOST" not in environ:
            raise MalformedRequest("The Host header is missing")  # RFC 9112, 3.2
        if require_https and not proxies.is_https(environ) and not _may_be_plain(environ, proxies):
            raise HttpsRequired
        if environ["REQUEST_METHOD"] == "OPTIONS" and request.routing_exception is None:
            return _answer_options(app)
        return None

    @app.after_request
    def finish(response: Response) -> Response:
        exchange = current_exchange()
        if exchange is not None:
            rule, size = request.url_rule, response.calculate_content_length()
            route = None if rule is None else rule.rule
            record_request(exchange, route, response.status_code, size)
            if request_log is not None:
                request_log.write(exchange, route, response.status_code, size)
        return response


def _may_be_plain(environ: dict[str, Any], proxies: TrustedProxies) -> bool:
    """Health checks of a platform and scrapers come over plain http inside its network; on loopback nobody can listen."""
    path = environ.get("PATH_INFO", "")
    if path == "/health" or path.startswith("/health/") or is_loopback(proxies.client_address(environ)):
        return True
    if path == METRICS_PATH and not FORWARDED & environ.keys() and is_private(environ.get("REMOTE_ADDR", "")):
        return True
    return (request.endpoint or "").startswith(
        "health."
    )  # a former path of theirs: compat.py keeps the endpoint's name


def _answer_options(app: Flask) -> Response:
    """A preflight needs no credential and costs no quota (Fetch standard: it never carries one)."""
    response = app.make_default_options_response()
    response.status_code = 204
    del response.headers["Content-Type"]
    return response
