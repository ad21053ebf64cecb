"""The headers that stand on every answer of the API, errors and preflights included."""

from flask import Response

CONTENT_SECURITY_POLICY = "Content-Security-Policy"
_JSON_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Permissions-Policy": "interest-cohort=()",
}
_UNLESS_SET = {CONTENT_SECURITY_POLICY: _JSON_POLICY, "Cache-Control": "no-store"}
_OVER_HTTPS = {"Strict-Transport-Security": "max-age=63072000; includeSubDomains"}
"""RFC 6797, 7.2: never sent over plain http."""

_HTTP = list(_ALWAYS.items())
_HTTPS = list({**_ALWAYS, **_OVER_HTTPS}.items())


def add_security_headers(response: Response, *, https: bool) -> None:
    """A handler may set its own policy and cache rule (the documentation pages do); the rest is the same
    everywhere.
    """
    headers = response.headers
    headers.extend(_HTTPS if https else _HTTP)
    for name, value in _UNLESS_SET.items():
        if name not in headers:
            headers.add(name, value)
