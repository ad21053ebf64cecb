"""Keys that are made from another key, so that an operator needs to keep one secret and not three."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derived_key(secret: bytes, label: str) -> bytes:
    """32 bytes: HKDF with SHA-256 and no salt (RFC 5869). Different labels give keys that tell nothing about each other."""
    return HKDF(SHA256(), length=32, salt=None, info=label.encode()).derive(secret)
