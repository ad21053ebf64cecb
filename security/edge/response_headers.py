"""The headers that stand on every answer of the API, errors and preflights included."""

from collections.abc import Callable, Iterable
from typing import Any

from security.edge.client_address import TrustedProxies
from security.edge.request_id import begin_exchange

CONTENT_SECURITY_POLICY = "Content-Security-Policy"
_JSON_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-site"),
    ("Permissions-Policy", "interest-cohort=()"),
]
_UNLESS_SET = [(CONTENT_SECURITY_POLICY, _JSON_POLICY), ("Cache-Control", "no-store")]
_OVER_HTTPS = [("Strict-Transport-Security", "max-age=63072000; includeSubDomains")]
"""RFC 6797, 7.2: never sent over plain http."""

_HTTP = _ALWAYS
_HTTPS = _ALWAYS + _OVER_HTTPS

Headers = list[tuple[str, str]]

UNREAD_REQUEST = _HTTP + _UNLESS_SET
"""For an answer to a request that could not be read, so it is not known whether it came over https."""


def headers_of_all(*, https: bool) -> Headers:
    """For answers of another server than Flask."""
    return (_HTTPS if https else _HTTP) + _UNLESS_SET


class SecurityHeaders:
    """WSGI middleware, because there the headers are a plain list: ten through Werkzeug cost 15 microseconds
    a request.

    It starts the exchange too, so that whatever goes wrong further in, the answer has its `X-Request-ID`. A
    handler may set its own policy and cache rule (the documentation pages do); the rest is the same
    everywhere.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], proxies: TrustedProxies) -> None:
        self._application = application
        self._proxies = proxies

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        exchange = begin_exchange(environ)

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            headers.extend(_HTTPS if self._proxies.is_https(environ) else _HTTP)
            present = dict(headers)
            for header in _UNLESS_SET:
                if header[0] not in present:
                    headers.append(header)
            headers.append(("X-Request-ID", exchange.request_id))
            return start_response(status, headers, exc_info)

        return self._application(environ, start)
