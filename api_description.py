"""What the service says of itself to everybody: its health, the OpenAPI document, and the pages that explain it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from flask import Blueprint

from config import Settings
from metering.capability import Capability
from metering.parts import Built
from security.api.openapi import ApiDescription, openapi_routes
from security.docs.docs_pages import docs_routes
from security.health.check import HealthCheck
from security.health.routes import health_routes
from security.home.routes import home_routes
from security.security_txt.routes import security_txt_routes

VERSION: Final = "0.1.0"
DESCRIPTION: Final = """\
Accounts, subscriptions, exact usage limits, and predictions from the private server.

Errors are problem documents (RFC 9457) with a stable `error` code. Requests with unknown fields are refused. New fields and
`error` codes may be added to responses at any time: ignore those that you do not know.

A limit of null means unlimited. For older apps there is one exception: in the answer to a prediction,
`metadata.predictions_remaining_today` is then -1."""

SOCKETS: Final = """

Clients that keep a connection open connect to {} with Socket.IO and `auth: {{token}}`, an access token or an API key."""

TAGS: Final = MappingProxyType(
    {
        "admin": "What the staff see and do: accounts, API keys, calls, billing periods and settings.",
        "analytics": "Reports for admins: accounts, subscriptions, revenue, usage and response times.",
        "ai_providers": "The AI providers behind the products that are on.",
        "apple": "Purchases from the App Store.",
        "auth": "Create an account, sign in, stay signed in, sign out.",
        "billing": "Your monthly statements, and paying them.",
        "compat": "Former paths that differ from those of today.",
        "email": "Confirm an e-mail address, change it, and use it to reset a forgotten password.",
        "events": "Security events of an account.",
        "exports": "Download all your data.",
        "health": "For operators and platforms.",
        "home": "Where to find everything.",
        "identities": "The Apple and Google accounts linked to your account.",
        "impersonation": "View the service as another user, for support.",
        "invites": "Invite codes, for admins.",
        "keys": "The public keys of access tokens (JWKS).",
        "passkeys": "Add, rename and delete passkeys, and sign in with one.",
        "passwords": "Enter your password again, or change it.",
        "payments": "Plans, and your subscription.",
        "profile": "Your account: view, rename, close or restore it.",
        "providers": "Sign in with Apple and with Google.",
        "second_factor": "Authenticator apps, recovery codes, and the second step of a sign-in.",
        "sessions": "Where you are signed in.",
        "stripe": "Buy, change and cancel plans on the web with Stripe.",
        "tokens": "API keys, for programs.",
        "usage": "What you used of all features, what it cost, and your budget.",
    }
)


def api_description(settings: Settings, built: Mapping[Capability, Built]) -> ApiDescription:
    """The titles of capabilities describe the tags of what was made of them."""
    has_sockets = any(made.sockets for made in built.values())
    own = {routes.name: each.title for each, made in built.items() for routes in made.routes}
    return ApiDescription(
        settings.project_name,
        VERSION,
        server=settings.public_base_url,
        tags={**own, **TAGS},
        description=DESCRIPTION + (SOCKETS.format(settings.sockets_url) if has_sockets else ""),
        requires_https=settings.require_https,
    )


def public_routes(settings: Settings, built: Mapping[Capability, Built], health: HealthCheck) -> Iterator[Blueprint]:
    address = settings.public_base_url
    yield health_routes(health, version=VERSION, environment=settings.flask_env)
    yield openapi_routes(api_description(settings, built))
    yield docs_routes(settings.project_name)
    yield home_routes(settings.project_name, VERSION, base_url=address, mail_box_url=settings.mail_box_url)
    if settings.security_contact is not None:
        yield security_txt_routes(settings.security_contact, base_url=address)
