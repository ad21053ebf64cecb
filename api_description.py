"""What the OpenAPI document says of the whole API."""

from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Final

NAME: Final = "MirrorOS Public API"
DESCRIPTION: Final = """\
Accounts, subscriptions, exact usage limits, and predictions of the private server.

Errors are problem documents (RFC 9457) with a stable `error` code. Requests take no unknown members. Answers may get new
members and `error` codes at any time: ignore those that you do not know.

A limit of null is none: unlimited. One answer differs, for older apps: after a prediction,
`metadata.predictions_remaining_today` is -1 then."""

TAGS: Final = MappingProxyType(
    {
        "apple": "Purchases from the App Store.",
        "auth": "Create an account, sign in, stay signed in, sign out.",
        "email": "Confirm an e-mail address, change it, and reset a forgotten password with it.",
        "events": "Security events of an account.",
        "exports": "Download all your data.",
        "gateway": "Predictions of the private server, and what is left of them.",
        "home": "Where everything is.",
        "health": "For operators and platforms.",
        "identities": "Apple and Google accounts that sign in to an account.",
        "impersonation": "View the service as another user, for support.",
        "keys": "The public keys of access tokens.",
        "passkeys": "Add, name and delete passkeys, and sign in with one.",
        "passwords": "Enter your password again, or change it.",
        "payments": "The plans, and the subscription of an account.",
        "profile": "Your account: its name, closing it, restoring it.",
        "providers": "Sign in with Apple and with Google.",
        "second_factor": "Authenticator apps, recovery codes, and the second step of signing in.",
        "sessions": "Where you are signed in.",
        "stripe": "Buy, change and cancel on the web, with Stripe.",
        "tokens": "API keys, for programs.",
    }
)

try:
    VERSION = version("mirroros-public")
except PackageNotFoundError:  # it is run from its folder, not installed
    VERSION = "0.1.0"
