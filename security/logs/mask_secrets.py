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
    | \bwhsec_[A-Za-z0-9+/=]+                         # Stripe's webhook secrets
    | (?P<url>://)[^\s/@]{1,256}@                     # the user and password of a URL
    | [\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+    # an e-mail address
    | \$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}              # a bcrypt hash
    | (?P<detail>\nDETAIL:\s+)(?s:.+?)(?=\n(?-i:HINT|CONTEXT|QUERY):|\n\n|\n\[|\Z)   # of a PostgreSQL error: it repeats the whole row
    """,
    re.VERBOSE | re.IGNORECASE,
)


def mask(text: str) -> str:
    return _SECRETS.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    if match["url"]:
        return f"://{MASK}@"
    return (match["scheme"] or match["detail"] or "") + MASK


def mask_values(value: Any) -> Any:
    """The same structure with every text masked, in a form that JSON can hold."""
    if isinstance(value, str):
        return mask(value).encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {mask_values(str(key)): mask_values(member) for key, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_values(member) for member in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    return mask_values(str(value))
