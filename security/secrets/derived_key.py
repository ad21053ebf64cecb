"""Keys that are made from another key, so that an operator needs to keep one secret and not three."""

import hashlib
import hmac


def derived_key(secret: bytes, label: str, length: int = 32) -> bytes:
    """HKDF with SHA-256 and no salt (RFC 5869).

    Different labels give keys that tell nothing about each other.

    Changing `secret` changes every key derived from it. `length` is bytes, at most 8,160.
    """
    pseudorandom_key = hmac.digest(bytes(hashlib.sha256().digest_size), secret, "sha256")
    output, block = b"", b""
    for counter in range(1, -(-length // hashlib.sha256().digest_size) + 1):
        block = hmac.digest(pseudorandom_key, block + label.encode() + bytes([counter]), "sha256")
        output += block
    return output[:length]
