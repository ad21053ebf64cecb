"""Paths of older clients, each a further rule on the view of a path of today: the same limits, bodies and answers.

Three have a form of their own: what made keys without end still does, and what people open sends them on.

They are marked as deprecated in the OpenAPI document, and every answer says so (RFC 9745) and where to go (RFC 5829).
`COMPAT_ROUTES=off` takes all away.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from flask import Blueprint, Flask, Response, after_this_request

from auth.api_keys.bodies import CreateKeyBody, NewKeyAnswer, create_key_body
from auth.api_keys.create import TooManyApiKeys, create_api_key, key_problems, key_request
from auth.assembly import Auth
from auth.email.bodies import TokenBody
from auth.principal import Principal
from security.api.operation import OPERATIONS_KEY, Answer, Anyone, Operation, operation
from security.edge.problems import TooManyRequests

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
    "POST /api/v1/subscriptions/subscribe": "/api/payments/stripe/create-checkout-session",
    "POST /api/v1/subscriptions/cancel": "/api/payments/subscription/cancel",
    "POST /api/v1/chat/messages": "/api/gateway/chat/messages",
    "POST /api/v1/chat/messages/regenerate": "/api/gateway/chat/messages/regenerate",
    "PATCH /api/v1/chat/messages/<uuid:message_id>": "/api/gateway/chat/messages/<uuid:message_id>",
    "DELETE /api/v1/chat/messages/<uuid:message_id>": "/api/gateway/chat/messages/<uuid:message_id>",
    "POST /api/v1/chat/completion": "/api/gateway/chat/completion",
    "GET /api/v1/chat/models": "/api/gateway/chat/models",
    "GET /api/v1/conversations": "/api/gateway/conversations",
    "POST /api/v1/conversations": "/api/gateway/conversations",
    "GET /api/v1/conversations/<uuid:conversation_id>": "/api/gateway/conversations/<uuid:conversation_id>",
    "PATCH /api/v1/conversations/<uuid:conversation_id>": "/api/gateway/conversations/<uuid:conversation_id>",
    "DELETE /api/v1/conversations/<uuid:conversation_id>": "/api/gateway/conversations/<uuid:conversation_id>",
    "GET /api/v1/conversations/<uuid:conversation_id>/messages": "/api/gateway/conversations/<uuid:conversation_id>/messages",
    "GET /api/v1/health": "/health",
    "GET /api/v1/health/ready": "/health/ready",
    "GET /api/v1/health/live": "/health/live",
    "GET /api/v1/health/providers": "/health/providers",
    "POST /api/customers/register": "/api/auth/register",
    "POST /api/customers/login": "/api/auth/login",
    "POST /api/customers/logout": "/api/auth/logout",
    "POST /api/customers/password/change": "/api/auth/password/change",
    "POST /api/customers/password/reset": "/api/auth/forgot-password",
    "POST /api/customers/resend-verification": "/api/auth/resend-verification",
    "GET /api/customers/tokens": "/api/auth/tokens",
    "DELETE /api/customers/tokens/<uuid:key_id>": "/api/auth/tokens/<uuid:key_id>",
    "GET /api/customers/usage/requests": "/api/gateway/usage/requests",
    "GET /api/customers/usage/summary": "/api/gateway/usage/summary",
    "GET /api/core/health": "/health",
    "POST /api/core/solve": "/api/gateway/solve",
    "GET /api/sessions": "/api/terminal/sessions",
    "POST /api/sessions": "/api/terminal/sessions",
    "GET /api/ssh/profiles": "/api/terminal/ssh/profiles",
    "POST /api/ssh/profiles": "/api/terminal/ssh/profiles",
    "POST /api/ssh/profiles/<uuid:profile_id>/test": "/api/terminal/ssh/profiles/<uuid:profile_id>/test",
    "GET /api/auth/me": "/api/auth/profile",
    "POST /api/payments/create-intent": "/api/payments/stripe/create-intent",
    "POST /api/payments/confirm": "/api/payments/stripe/confirm",
    "POST /api/ai/suggest-command": "/api/gateway/commands/suggest",
    "POST /api/ai/explain-command": "/api/gateway/commands/explain",
    "POST /api/ai/explain-error": "/api/gateway/commands/explain-error",
    "POST /api/ai/validate-key": "/api/gateway/commands/validate-key",
    "POST /auth/register": "/api/auth/register",
    "POST /auth/login": "/api/auth/login",
    "POST /auth/refresh": "/api/auth/refresh",
    "POST /auth/logout": "/api/auth/logout",
    "GET /users/me": "/api/auth/profile",
    "PUT /users/me": "/api/auth/profile",
    "DELETE /users/me": "/api/auth/profile",
    "GET /products": "/api/shop/products",
    "POST /products": "/api/shop/products",
    "GET /products/<uuid:product_id>": "/api/shop/products/<uuid:product_id>",
    "PUT /products/<uuid:product_id>": "/api/shop/products/<uuid:product_id>",
    "DELETE /products/<uuid:product_id>": "/api/shop/products/<uuid:product_id>",
    "GET /orders": "/api/shop/orders",
    "POST /orders": "/api/shop/orders",
    "GET /orders/<uuid:order_id>": "/api/shop/orders/<uuid:order_id>",
    "PUT /orders/<uuid:order_id>/status": "/api/shop/orders/<uuid:order_id>/status",
    "POST /payments/create-intent": "/api/payments/stripe/create-intent",
    "POST /payments/confirm": "/api/payments/stripe/confirm",
    "GET /payments/<uuid:payment_id>": "/api/payments/<uuid:payment_id>",
}
"""Method and former path to the path of today."""

MOVED_PAGES: Final[Mapping[str, str]] = {"/api/docs/": "/docs", "/api/schema/": "/openapi.json"}
OF_ANOTHER_FORM: Final[Mapping[str, str]] = {
    "/api/customers/tokens": "/api/auth/tokens",
    "/api/customers/verify-email": "/account/verify-email",
    **MOVED_PAGES,
}
"""Former path to where its successor is."""


def add_compat_routes(app: Flask, auth: Auth) -> None:
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
            view_func=_deprecated(app, endpoint, path),
            methods=[method],
            strict_slashes=False,
        )
        if endpoint in operations:
            operations[former_endpoint] = _deprecated_operation(operations[endpoint], former_path)
    own = _routes_of_another_form(auth)
    app.register_blueprint(own)
    for endpoint in [each for each in app.view_functions if each.startswith(f"{own.name}.")]:
        path = OF_ANOTHER_FORM[operations[endpoint].path]
        app.view_functions[endpoint] = _deprecated(app, endpoint, path)
        operations[endpoint] = _marked(operations[endpoint])


def _routes_of_another_form(auth: Auth) -> Blueprint:
    routes = Blueprint("compat", __name__)

    @operation(
        routes,
        "POST",
        "/api/customers/tokens",
        operation_id="createApiKeyAtCustomersTokens",
        summary="Create an API key",
        guard=auth.of_account_calls.recently_signed_in,
        body=create_key_body(tuple(auth.scopes.items()), None, "CreateApiTokenBody"),
        answers={201: NewKeyAnswer},
        problems=(TooManyApiKeys, TooManyRequests, *key_problems(auth)),
    )
    def create_key(caller: Principal, body: CreateKeyBody) -> Answer:
        """Call `POST /api/auth/tokens` instead. Here, a key for which you name no `expires_in_days` has no end."""
        return Answer(201, create_api_key(auth, caller.user_id, caller.session_id, key_request(auth, body)))

    @operation(
        routes,
        "GET",
        "/api/customers/verify-email",
        operation_id="getVerifyEmailPage",
        summary="Open the page that confirms an e-mail address",
        guard=Anyone("people follow the link of an e-mail, and nothing is confirmed by it"),
        query=TokenBody,
        answers={303: None},
        answer_headers={"Location": "The page with the button that confirms the address."},
    )
    def verify_email(query: TokenBody) -> Answer:
        """Sends browsers to `/account/verify-email`. It confirms nothing by itself, because mail scanners open links too."""
        page = f"/account/verify-email#token={quote(query.token, safe='')}"
        return Answer(303, headers={"Location": page, "Cache-Control": "no-store"})

    for former, page in MOVED_PAGES.items():
        _send_on(routes, former, page)
    return routes


def _send_on(routes: Blueprint, former: str, page: str) -> None:
    @operation(
        routes,
        "GET",
        former,
        operation_id=f"getPageAt{''.join(word.capitalize() for word in former.split('/'))}",
        summary="Find a page that has moved",
        guard=Anyone("the page is public"),
        answers={308: None},
        answer_headers={"Location": "The page's path of today."},
    )
    def moved() -> Answer:
        """`Location` says where it is."""
        return Answer(308, headers={"Location": page})


def _deprecated(app: Flask, endpoint: str, path: str) -> Any:
    """The view, whose answers name the path of today with the ids of the request in it."""
    view, successor = app.view_functions[endpoint], re.sub("<uuid:([a-z_]+)>", r"{\1}", path)

    def answer(**arguments: Any) -> Any:
        link = f'<{successor.format_map(arguments)}>; rel="successor-version"'

        @after_this_request
        def say_so(response: Response) -> Response:
            response.headers["Deprecation"] = DEPRECATED_SINCE
            response.headers.add("Link", link)
            return response

        return view(**arguments)

    return answer


def _deprecated_operation(today: Operation, former_path: str) -> Operation:
    """Its id is that of today and the words of the former path. Those of a path outside `/api` begin with root."""
    words = re.findall(
        r"(?<![<:\w])[a-z]+(?![\w>:])", re.sub("^(?=/(?!api/))", "/root", former_path).replace("/api/", "/")
    )
    return replace(
        _marked(today),
        path=former_path,
        id=today.id + "At" + "".join(word.capitalize() for word in words),
        description=f"Call `{today.method} {today.path_template}` instead.\n\n{today.description}",
    )


def _marked(declared: Operation) -> Operation:
    headers = {
        "Deprecation": "When this path was deprecated (RFC 9745).",
        "Link": "The path of today, as `successor-version` (RFC 5829).",
    }
    return replace(declared, answer_headers={**declared.answer_headers, **headers}, deprecated=True)
