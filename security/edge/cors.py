"""Which web pages may call the API from a browser: exactly the listed origins, no pattern.

Clients send a bearer token of their own, so `Access-Control-Allow-Credentials` stands only on the few operations that
declare it: those that give or take the cookie of a refresh token.
"""

from flask import Response
from werkzeug.datastructures import Headers

ALLOWED_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
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
    "Idempotency-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Server-Timing",
    "WWW-Authenticate",
    "X-Gateway-Overhead-Ms",
    "X-RateLimit-Limit",
    "X-RateLimit-Policy",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
)
"""What our answers carry for the client, beyond what every page may read (Fetch standard, "CORS-safelisted response-header name")."""
_EXPOSED = ", ".join(EXPOSED_HEADERS)
PREFLIGHT_SECONDS = 600
_LOWER_CASE_HEADERS = frozenset(name.lower() for name in ALLOWED_HEADERS)


class CrossOrigin:
    """The Fetch standard's CORS protocol for a fixed set of origins, each `scheme://host[:port]`."""

    def __init__(self, origins: frozenset[str]) -> None:
        if origins & {"*", "null"}:
            raise ValueError("CORS origins are listed one by one; * and null are not origins")
        self._origins = origins

    def answer_preflight(self, response: Response, asked: Headers) -> None:
        """Tell an allowed origin what it may send. Anyone else gets no header, and the browser stops there.

        `asked` is the preflight's headers. The lists are always the whole ones, so the answer can be kept for
        any request.
        """
        headers = {name.strip().lower() for name in asked.get("Access-Control-Request-Headers", "").split(",")} - {""}
        if (
            asked.get("Origin") in self._origins
            and asked.get("Access-Control-Request-Method") in ALLOWED_METHODS
            and headers <= _LOWER_CASE_HEADERS
        ):
            response.headers["Access-Control-Allow-Methods"] = ", ".join(ALLOWED_METHODS)
            response.headers["Access-Control-Allow-Headers"] = ", ".join(ALLOWED_HEADERS)
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)

    def mark(self, response: Response, origin: str | None, *, credentials: bool = False) -> None:
        """`Vary: Origin` stands on every answer once there is a list, so that no cache hands one origin's
        answer to another. `credentials`: the browser may send cookies and keep those of the answer.
        """
        response.headers.add("Vary", "Origin")
        if origin in self._origins:
            response.headers["Access-Control-Allow-Origin"] = str(origin)
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
            if credentials:
                response.headers["Access-Control-Allow-Credentials"] = "true"
