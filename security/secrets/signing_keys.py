"""Keys as settings write them, and those that the gateway and the private prediction server share."""

import base64
import re
from dataclasses import dataclass, field

SHORTEST_KEY = 32
TYPED_PREFIX = "msk_"
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def key_bytes(text: str) -> bytes:
    """The key behind a setting: `msk_` and standard base64, or else the text itself as UTF-8.

    Raises ValueError; its text goes on after the variable's name and never holds a value.
    """
    try:
        key = base64.b64decode(text[4:], validate=True) if text.startswith(TYPED_PREFIX) else text.encode()
    except ValueError:
        raise ValueError(f"must be standard base64 with its padding after {TYPED_PREFIX}") from None
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"must be at least {SHORTEST_KEY} bytes long")
    return key


def named_keys(text: str) -> dict[str, str]:
    """`k2:…,k1:…` as a mapping from key id to the key's text, in the order given. Raises ValueError."""
    keys: dict[str, str] = {}
    for entry in text.split(","):
        key_id, separator, key = entry.strip().partition(":")
        if not separator or KEY_ID.fullmatch(key_id) is None or key_id in keys:
            raise ValueError("must be id:key pairs with different ids, separated by commas, such as k2:msk_…,k1:msk_…")
        key_bytes(key)
        keys[key_id] = key
    return keys


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One secret under its name. The secret stays out of `repr`, and so out of logs and error reports."""

    key_id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PrivateServerKeys:
    """The live keys: the first one signs, all of them verify. Two are live while keys are exchanged."""

    keys: tuple[SigningKey, ...]

    @property
    def signing_key(self) -> SigningKey:
        return self.keys[0]

    def find(self, key_id: str) -> SigningKey | None:
        return next((key for key in self.keys if key.key_id == key_id), None)

    @classmethod
    def from_settings(cls, *, secret: str | None = None, keys: str | None = None) -> "PrivateServerKeys":
        """Read PRIVATE_API_SECRET (one key, named k1) and PRIVATE_API_KEYS, which replaces it when it is set.

        In a list the typed form is a must, because a raw secret may hold a comma or a colon. Raises ValueError.
        """
        texts = named_keys(keys) if keys else {"k1": secret or ""}
        if keys and not all(text.startswith(TYPED_PREFIX) for text in texts.values()):
            raise ValueError(f"must be a list of id:{TYPED_PREFIX}base64, separated by commas")
        ring = tuple(SigningKey(key_id, key_bytes(text)) for key_id, text in texts.items())
        if len({key.secret for key in ring}) < len(ring):
            raise ValueError("must not hold the same key under two ids")
        return cls(ring)
