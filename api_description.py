"""What the OpenAPI document says of the whole API."""

from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Final

NAME: Final = "MirrorOS Public API"
DESCRIPTION: Final = """\
Accounts, subscriptions, exact usage limits, and predictions from the private server.

Errors are problem documents (RFC 9457) with a stable `error` code. Requests with unknown fields are refused. New fields and
`error` codes may be added to responses at any time: ignore those that you do not know.

A limit of null means unlimited. For older apps there is one exception: in the answer to a prediction,
`metadata.predictions_remaining_today` is then -1."""

TAGS: Final = MappingProxyType(
    {
        "apple": "Purchases from the App Store.",
        "auth": "Create an account, sign in, stay signed in, sign out.",
        "email": "Verify an e-mail address, change it, and use it to reset a forgotten password.",
        "events": "What happened to an account.",
        "exports": "Download everything that is held about a user.",
        "gateway": "Predictions from the private server, and how many are left.",
        "health": "For operators and platforms.",
        "identities": "The Apple and Google accounts linked to an account.",
        "impersonation": "For support: view the service as one user.",
        "keys": "The public keys of access tokens (JWKS).",
        "own_password": "Step-up authentication, and changing the password.",
        "passkeys": "Add, rename and delete passkeys, and sign in with one.",
        "payments": "Plans, and the user's subscription.",
        "profile": "View, rename, close or restore the account.",
        "providers": "Sign in with Apple and with Google.",
        "second_factor": "Authenticator apps, recovery codes, and the second step of a sign-in.",
        "sessions": "Where an account is signed in.",
        "stripe": "Buy, change and cancel plans on the web with Stripe.",
        "tokens": "API keys, for programs.",
    }
)

try:
    VERSION = version("mirroros-public")
except PackageNotFoundError:  # it is run from its folder, not installed
    VERSION = "0.1.0"
