"""Paths of older clients, each a further rule on the view of a path of today: the same limits, bodies and answers.

They are marked as deprecated in the OpenAPI document, and every answer says so (RFC 9745). `COMPAT_ROUTES=off` takes all away.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from flask import Flask, Response, after_this_request

from security.api.operation import OPERATIONS_KEY, Operation

DEPRECATED_SINCE: Final = "@1795910400"
"""29 November 2026, as a date of structured fields (RFC 9745, 2.1; RFC 9651, 3.3.7)."""

FORMER_PATHS: Final[Mapping[str, str]] = {
    "POST /api/v1/auth/signup": "/api/auth/register",
    "POST /api/v1/auth/login": "/api/auth/login",
    "POST /api/v1/auth/logout": "/api/auth/logout",
    "POST /api/v1/auth/refresh": "/api/auth/refresh",
    "POST /api/v1/auth/forgot-password": "/api/auth/forgot-password",
    "POST /api/v1/auth/reset-password": "/api/auth/reset-password",
    "GET /api/v1/subscriptions/plans": "/api/payments/plans",
    "GET /api/v1/subscriptions/current": "/api/payments/subscription",
    "POST /api/v1/subscriptions/cancel": "/api/payments/stripe/subscription/cancel",
    "GET /api/v1/health": "/health",
    "GET /api/v1/health/ready": "/health/ready",
    "GET /api/v1/health/live": "/health/live",
    "POST /api/customers/register": "/api/auth/register",
    "POST /api/customers/login": "/api/auth/login",
    "POST /api/customers/logout": "/api/auth/logout",
    "POST /api/customers/password/change": "/api/auth/password/change",
    "POST /api/customers/password/reset": "/api/auth/forgot-password",
    "POST /api/customers/resend-verification": "/api/auth/resend-verification",
    "GET /api/customers/tokens": "/api/auth/tokens",
    "POST /api/customers/tokens": "/api/auth/tokens",
    "DELETE /api/customers/tokens/<uuid:key_id>": "/api/auth/tokens/<uuid:key_id>",
    "GET /api/customers/usage/requests": "/api/gateway/usage/requests",
    "GET /api/customers/usage/summary": "/api/gateway/usage/summary",
    "GET /api/core/health": "/health",
    "GET /api/auth/me": "/api/auth/profile",
    "POST /api/payments/create-intent": "/api/payments/stripe/create-intent",
    "POST /api/payments/confirm": "/api/payments/stripe/confirm",
    "GET /api/docs/": "/docs",
    "GET /api/schema/": "/openapi.json",
}
"""Method and former path to the path of today."""


def add_compat_routes(app: Flask) -> None:
    """After all other routes. Former paths of what is switched off do not exist either."""
    operations: dict[str, Operation] = app.extensions.setdefault(OPERATIONS_KEY, {})
    endpoints = {
        f"{method} {rule.rule}": rule.endpoint for rule in app.url_map.iter_rules() for method in rule.methods or ()
    }
    for former, path in FORMER_PATHS.items():
        method, _, former_path = former.partition(" ")
        endpoint = endpoints.get(f"{method} {path}")
        if endpoint is None:
            continue
        former_endpoint = f"{endpoint} as {former}"  # Flask finds the blueprint before the dot
        app.add_url_rule(
            former_path,
            endpoint=former_endpoint,
            view_func=_deprecated(app, endpoint),
            methods=[method],
            strict_slashes=False,
        )
        if endpoint in operations:
            operations[former_endpoint] = _deprecated_operation(operations[endpoint], former_path)


def _deprecated(app: Flask, endpoint: str) -> Any:
    view = app.view_functions[endpoint]

    def answer(**arguments: Any) -> Any:
        after_this_request(_say_so)
        return view(**arguments)

    return answer


def _say_so(response: Response) -> Response:
    response.headers["Deprecation"] = DEPRECATED_SINCE
    return response


def _deprecated_operation(today: Operation, former_path: str) -> Operation:
    """Its id is that of today and the words of the former path."""
    words = re.findall(r"(?<![<:\w])[a-z]+(?![\w>:])", former_path.replace("/api/", "/"))
    return replace(
        today,
        path=former_path,
        id=today.id + "At" + "".join(word.capitalize() for word in words),
        description=f"Call `{today.method} {today.path_template}` instead.\n\n{today.description}",
        answer_headers={**today.answer_headers, "Deprecation": "When this path was deprecated (RFC 9745)."},
        deprecated=True,
    )
