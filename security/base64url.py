"""Base64url without padding (RFC 4648, 5), read in exactly one spelling.

Python's decoder ignores foreign characters and the spare bits of the last one, so that many texts mean the same bytes.
"""

import base64
import binascii

CANONICAL = "^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048]|[A-Za-z0-9_-][AQgw])?$"
"""The spare bits of the last character are zero."""


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bytes_of_base64url(text: str) -> bytes:
    """Raises ValueError for every text but the one that `base64url` writes."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64url(data) != text:
        raise ValueError("not the canonical form")
    return data
