"""Which web pages may call the API from a browser: exactly the listed origins, no pattern.

Clients send a bearer token of their own, so `Access-Control-Allow-Credentials` stands only on the paths of the few operations
that declare it: those that give or take the cookie of a refresh token.
"""

import re
from collections.abc import Callable, Collection
from typing import cast

from flask import Blueprint, Flask, Response, request
from flask_cors import CORS

from security.api.operation import OPERATIONS_KEY, Operation

ALLOWED_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "X-OpenRouter-Key",
    "X-Request-ID",
    "X-CSRF-Token",
    "traceparent",
    "tracestate",
    "sentry-trace",
    "baggage",
)
"""The last four are those of tracing, which libraries add to every call by themselves."""
EXPOSED_HEADERS = (
    "Accept-Encoding",
    "Accept-Post",
    "Allow",
    "Content-Disposition",
    "Deprecation",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Server-Timing",
    "WWW-Authenticate",
    "X-Gateway-Overhead-Ms",
    "X-Max-Completion-Tokens",
    "X-RateLimit-Limit",
    "X-RateLimit-Policy",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
)
"""What our answers carry for the client, beyond what every page may read (Fetch standard, "CORS-safelisted response-header name")."""
PREFLIGHT_SECONDS = 600


def install_cors(app: Flask, origins: Collection[str]) -> None:
    """Each origin is `scheme://host[:port]`. Called after the blueprints are registered; without origins it does nothing."""
    if not origins:
        return
    operations: dict[str, Operation] = app.extensions.get(OPERATIONS_KEY, {})
    with_cookies = {each.path for each in operations.values() if each.credentials}
    rules = Blueprint(
        "cors", __name__
    )  # only holds the hook: run for every request, it would cost 20 µs where no page asks
    CORS(
        rules,
        resources={**{path: {"supports_credentials": True} for path in with_cookies}, "/.*": {}},
        # Compiled, because flask-cors takes a text with brackets, such as an IPv6 host's, for a pattern, and matches beginnings.
        origins=[re.compile(rf"{re.escape(origin)}\Z") for origin in origins],
        methods=ALLOWED_METHODS,
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=PREFLIGHT_SECONDS,
        always_send=False,
        vary_header=False,
    )
    [answer_page] = cast("list[Callable[[Response], Response]]", rules.after_request_funcs[None])

    @app.after_request
    def answer_origin(response: Response) -> Response:
        # On refusals too, so that no cache hands one origin's answer to another.
        response.headers.add("Vary", "Origin")
        return answer_page(response) if "HTTP_ORIGIN" in request.environ else response
