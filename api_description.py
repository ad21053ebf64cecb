"""What the service says of itself to everybody: its health, the OpenAPI document, and the pages that explain it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from flask import Blueprint

from config import Settings
from metering.capability import Capability
from metering.parts import Built
from realtime.bodies import FROM_CLIENT, FROM_SERVER
from realtime.messages import socket_messages
from security.api.openapi import ApiDescription, openapi_routes
from security.api.socket_messages import Message, SocketMessages
from security.docs.docs_pages import docs_routes
from security.edge.problems import Problem
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

Clients that keep a connection open connect to {} with Socket.IO and `auth: {{token}}`, an access token or an API key.
`x-websocket` in this document has the schemas of what is sent and received."""
SOCKET_IO: Final = "/socket.io/"

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
    sockets = _sockets(built)
    own = {routes.name: each.title for each, made in built.items() for routes in made.routes}
    return ApiDescription(
        settings.project_name,
        VERSION,
        server=settings.public_base_url,
        tags={**own, **TAGS},
        description=DESCRIPTION + (SOCKETS.format(settings.sockets_url) if SOCKET_IO in sockets else ""),
        requires_https=settings.require_https,
        sockets=sockets,
        sockets_server=settings.sockets_url,
    )


def _sockets(built: Mapping[Capability, Built]) -> dict[str, SocketMessages]:
    """By path: Socket.IO with the events of all products that are on, and what these have of their own."""
    sockets = [made.sockets for made in built.values() if made.sockets is not None]
    own = {each.path: socket_messages(each) for each in sockets if each.path is not None}
    offered = [each for each in sockets if each.path is None]
    if not offered:
        return own
    events = [event for each in offered for event in each.events]
    told: dict[str, Message] = {name: model for each in offered for name, model in each.told.items()}
    errors: dict[str, Message] = {event.error: Problem for event in events}
    socket_io = SocketMessages(
        "Socket.IO 5",
        "Each event has one argument. What you send is acknowledged with `ok`, and with a problem document if that is false.",
        {**FROM_CLIENT, **{event.name: event.body for event in events}},
        {**FROM_SERVER, **errors, **told},
    )
    return {SOCKET_IO: socket_io, **own}


def public_routes(settings: Settings, built: Mapping[Capability, Built], health: HealthCheck) -> Iterator[Blueprint]:
    address = settings.public_base_url
    yield health_routes(health, version=VERSION, environment=settings.flask_env)
    yield openapi_routes(api_description(settings, built))
    yield docs_routes(settings.project_name)
    yield home_routes(settings.project_name, VERSION, base_url=address, mail_box_url=settings.mail_box_url)
    if settings.security_contact is not None:
        yield security_txt_routes(settings.security_contact, base_url=address)
