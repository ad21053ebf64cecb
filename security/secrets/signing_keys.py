"""The keys that the gateway and the private prediction server share."""

import base64
import binascii
import re
from dataclasses import dataclass, field

SHORTEST_SECRET = 32
TYPED_PREFIX = "msk_"
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class SigningKeysInvalid(ValueError):
    """The setting cannot be read as keys. The text goes on after the variable's name and never holds a value."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One secret under its name. The secret stays out of `repr`, and so out of logs and error reports."""

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not KEY_ID.fullmatch(self.key_id):
            raise SigningKeysInvalid("must have ids of 1 to 64 letters, digits, dots, underscores or hyphens")
        if len(self.secret) < SHORTEST_SECRET:
            raise SigningKeysInvalid(f"must be at least {SHORTEST_SECRET} bytes long")


@dataclass(frozen=True, slots=True)
class PrivateServerKeys:
    """The live keys: the first one signs, all of them verify. Two are live while keys are exchanged."""

    keys: tuple[SigningKey, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise SigningKeysInvalid("must hold at least one key")
        if len({key.key_id for key in self.keys}) < len(self.keys):
            raise SigningKeysInvalid("must not hold two keys under the same id")
        if len({key.secret for key in self.keys}) < len(self.keys):
            raise SigningKeysInvalid("must not hold the same key under two ids")

    @property
    def signing_key(self) -> SigningKey:
        return self.keys[0]

    def find(self, key_id: str) -> SigningKey | None:
        return next((key for key in self.keys if key.key_id == key_id), None)

    @classmethod
    def from_settings(cls, *, secret: str | None = None, keys: str | None = None) -> "PrivateServerKeys":
        """Read PRIVATE_API_SECRET (one key, named k1) and PRIVATE_API_KEYS, which replaces it when it is
        set.

        A secret is `msk_` and standard base64, or else the text itself as UTF-8. A list is
        `k2:msk_…,k1:msk_…`: there the typed form is a must, because a raw secret may hold a comma or a
        colon. Raises SigningKeysInvalid.
        """
        if keys:
            return cls(tuple(_listed_key(entry.strip()) for entry in keys.split(",")))
        if secret:
            return cls((SigningKey("k1", _secret_bytes(secret)),))
        raise SigningKeysInvalid("must be set")


def _listed_key(entry: str) -> SigningKey:
    key_id, colon, secret = entry.partition(":")
    if not colon or not secret.startswith(TYPED_PREFIX):
        raise SigningKeysInvalid(f"must be a list of id:{TYPED_PREFIX}base64, separated by commas")
    return SigningKey(key_id, _secret_bytes(secret))


def _secret_bytes(text: str) -> bytes:
    if not text.startswith(TYPED_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(TYPED_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SigningKeysInvalid(f"must be standard base64 with its padding after {TYPED_PREFIX}") from None
