"""The origin of an address, in the one spelling in which two of them are compared."""

import re
from urllib.parse import urlsplit

PLAIN = re.compile(r"[!#-\[\]^-~]+")
"""Visible ASCII without quotation marks and backslashes, which browsers read in other ways than we do."""
DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(address: str) -> str | None:
    """`scheme://host[:port]` in lower case without the scheme's own port; None for whatever is no plain address.

    Apps have schemes of their own.
    """
    if PLAIN.fullmatch(address) is None:
        return None
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not parts.scheme or not host or "@" in parts.netloc:
        return None
    shown = "" if port in {None, DEFAULT_PORTS.get(parts.scheme)} else f":{port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{shown}"
