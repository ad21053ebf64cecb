"""HMAC-SHA256 (RFC 2104) with a key that is used for many short messages."""

import hmac
from functools import lru_cache


def hmac_sha256(key: bytes, message: bytes) -> str:
    """In hexadecimal digits."""
    mac = _begun(key).copy()
    mac.update(message)
    return mac.hexdigest()


@lru_cache(maxsize=16)
def _begun(key: bytes) -> hmac.HMAC:
    """Setting up the key costs more than the message, and `hmac.digest` does it each time."""
    return hmac.new(key, digestmod="sha256")
