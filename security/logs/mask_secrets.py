"""Take secrets and personal data out of text that leaves the request: log lines and error reports."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "[masked]"

_SECRETS = re.compile(
    r"""
    (?P<scheme>\b(?:Bearer|Basic)\s+)[^\s"',;]+       # an Authorization header
    | \beyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){0,4}    # a JSON Web Token
    | \b(?:tok|rt|dt|ot|sc|msk)_[A-Za-z0-9_-]{4,}     # our API keys, our tokens, private server keys
    | \b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]+       # Stripe's keys
    | \b(?:sk-|gsk_|AIza)[A-Za-z0-9_-]{16,}            # keys of AI providers
    | \bwhsec_[A-Za-z0-9+/=]+                         # Stripe's webhook secrets
    | (?P<url>://)[^\s/@]{1,256}@                     # the user and password of a URL
    | [\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+    # an e-mail address
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----(?s:.*?)(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}              # a bcrypt hash
    | (?P<quoted>                                     # parts of a PostgreSQL error that repeat a row, a parameter or a statement
        \n(?-i:DETAIL|CONTEXT|QUERY|LINE\ \d+):\s+
        | \binvalid\ input\ (?:syntax\ for\ type|value\ for\ enum)\ [^:\n]{1,80}:\s+
      )(?s:.+?)(?=\n(?-i:DETAIL|HINT|CONTEXT|QUERY|LINE\ \d+):|\n\n|\n\[|\Z)
    """,
    re.VERBOSE | re.IGNORECASE,
)

SECRET_NAMES = frozenset(
    {
        "authorization",
        "cookie",
        "set-cookie",
        "password",
        "new_password",
        "current_password",
        "secret",
        "token",
        "access_token",
        "refresh_token",
        "id_token",
        "api_key",
        "client_secret",
        "private_key",
        "passphrase",
        "code",
        "otp",
        "totp",
        "recovery_code",
        "invite",
        "email",
        "phone",
    }
)
"""Fields that are masked whatever they hold."""


def mask(text: str) -> str:
    return _SECRETS.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    if match["url"]:
        return f"://{MASK}@"
    return (match["scheme"] or match["quoted"] or "") + MASK


def mask_values(value: Any) -> Any:
    """The same structure with every text masked, in a form that JSON can hold."""
    if isinstance(value, str):
        return mask(value).encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {mask_values(str(key)): _member(str(key), member) for key, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_values(member) for member in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    return mask_values(str(value))


def _member(name: str, value: Any) -> Any:
    return MASK if value is not None and name.lower() in SECRET_NAMES else mask_values(value)
