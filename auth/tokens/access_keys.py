"""The keys of access tokens: each has one id and one algorithm, the first one signs, and all of them verify.

Written as text (`JWT_KEYS`): `kid:algorithm:material` separated by commas. The material is base64url without padding: of the
secret bytes for HS256, of the private key (PKCS#8, DER) for ES256.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from security.base64url import base64url, bytes_of_base64url

Algorithm = Literal["HS256", "ES256"]

SHORTEST_SECRET_BYTES = 32  # RFC 7518, 3.2
KEY_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")


class UnusableSigningKey(ValueError):
    """A key, or the list of keys, cannot protect a token. Raised at start-up; the message never shows a key."""


@dataclass(frozen=True, repr=False)
class SigningKey:
    """One key with the one algorithm that it is used with. `material` is secret bytes (HS256) or a private key (ES256)."""

    key_id: str
    material: bytes | EllipticCurvePrivateKey
    algorithm: Algorithm = "HS256"

    def __post_init__(self) -> None:
        if KEY_ID_FORM.fullmatch(self.key_id) is None:
            raise UnusableSigningKey(
                "A key id has 1 to 64 characters: A to Z, a to z, 0 to 9, dots, hyphens and underscores"
            )
        if isinstance(self.material, bytes):
            if self.algorithm != "HS256" or len(self.material) < SHORTEST_SECRET_BYTES:
                raise UnusableSigningKey(f"A secret is for HS256 and has at least {SHORTEST_SECRET_BYTES} bytes")
        elif self.algorithm != "ES256" or not isinstance(self.material.curve, SECP256R1):
            raise UnusableSigningKey("A private key is for ES256 and lies on the curve P-256 (RFC 7518, 3.4)")

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id!r}, {self.algorithm})"

    @cached_property
    def verifier(self) -> bytes | EllipticCurvePublicKey:
        """What a signature is checked with."""
        return self.material if isinstance(self.material, bytes) else self.material.public_key()

    def text(self) -> str:
        """The key as one entry of `JWT_KEYS`."""
        if isinstance(self.material, bytes):
            content = self.material
        else:
            content = self.material.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return f"{self.key_id}:{self.algorithm}:{base64url(content)}"


class AccessKeyRing:
    """The keys that tokens are accepted under. The first one signs; the others stay until their last token ran out."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        if not keys or len({key.key_id for key in keys}) != len(keys):
            raise UnusableSigningKey("There must be at least one key, each with its own id")
        self.keys = tuple(keys)
        self.signing = keys[0]
        self._by_id = {key.key_id: key for key in keys}

    @classmethod
    def read(cls, text: str) -> "AccessKeyRing":
        """Raises UnusableSigningKey."""
        return cls([_read_key(entry.strip()) for entry in text.split(",")])

    def find(self, key_id: object) -> SigningKey | None:
        return self._by_id.get(key_id) if isinstance(key_id, str) else None

    def text(self) -> str:
        return ",".join(key.text() for key in self.keys)


def new_key(key_id: str, algorithm: Algorithm) -> SigningKey:
    if algorithm == "HS256":
        return SigningKey(key_id, secrets.token_bytes(SHORTEST_SECRET_BYTES))
    return SigningKey(key_id, generate_private_key(SECP256R1()), "ES256")


def _read_key(entry: str) -> SigningKey:
    key_id, _, rest = entry.partition(":")
    algorithm, _, encoded = rest.partition(":")
    if algorithm not in get_args(Algorithm) or not encoded:
        raise UnusableSigningKey("must be kid:algorithm:material with HS256 or ES256, separated by commas")
    try:
        material = bytes_of_base64url(encoded)
    except ValueError:
        raise UnusableSigningKey("must hold its keys as base64url") from None
    if algorithm == "HS256":
        return SigningKey(key_id, material)
    try:
        private_key = load_der_private_key(material, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableSigningKey("holds an ES256 entry that is no PKCS#8 private key") from None
    if not isinstance(private_key, EllipticCurvePrivateKey):
        raise UnusableSigningKey("holds an ES256 entry that is no elliptic-curve key")
    return SigningKey(key_id, private_key, "ES256")
