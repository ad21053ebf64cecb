"""Keys of what the database must not give away: secrets that have to be read again, and short codes that must not be guessed.

As with access tokens, the first key is used for new values, all of them for old ones. Each stored value begins with the id of
its key.
"""

import hmac
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from security.secrets.derived_key import derived_key

NONCE_BYTES = 12  # NIST SP 800-38D, 5.2.1.1


class SealedValueUnreadable(Exception):
    """Sealed under a key that is gone, for somebody else, or changed since."""


class DataKeys:
    """Seals with AES-256-GCM, digests with HMAC-SHA256. Each has keys of its own, derived from those that are handed in."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ValueError("there must be at least one key")
        self._first = next(iter(keys))
        self._ciphers = {name: AESGCM(derived_key(key, "mirroros sealed values v1")) for name, key in keys.items()}
        self._digest_keys = {name: derived_key(key, "mirroros code digests v1") for name, key in keys.items()}

    @property
    def current(self) -> str:
        """The id of the key that seals now."""
        return self._first

    def seal(self, value: bytes, owner: bytes) -> bytes:
        """Encrypt, so that nobody but the same owner can have it opened: a row copied to another user is of no use."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return _named(self._first, nonce + self._ciphers[self._first].encrypt(nonce, value, owner))

    def open(self, sealed: bytes, owner: bytes) -> bytes:
        """Raises SealedValueUnreadable."""
        name, content = _read(sealed)
        if name not in self._ciphers:
            raise SealedValueUnreadable
        try:
            return self._ciphers[name].decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], owner)
        except (InvalidTag, ValueError):
            raise SealedValueUnreadable from None

    def digest(self, value: bytes) -> bytes:
        return _named(self._first, hmac.digest(self._digest_keys[self._first], value, "sha256"))

    def digest_matches(self, digest: bytes, value: bytes) -> bool:
        """False also when the key is gone."""
        name, content = _read(digest)
        key = self._digest_keys.get(name)
        return key is not None and hmac.compare_digest(content, hmac.digest(key, value, "sha256"))


def _named(name: str, content: bytes) -> bytes:
    return name.encode() + b":" + content


def _read(stored: bytes) -> tuple[str, bytes]:
    name, _, content = stored.partition(b":")
    return name.decode(errors="replace"), content
