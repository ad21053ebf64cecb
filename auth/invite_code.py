"""The text of invite codes: ten characters in two groups, such as 7KQ2M-X40DR, made to be read out and typed.

The alphabet is Crockford's base32: no letter that looks like a digit, and those that do are read as the digit.
"""

import re
import secrets

from security.keyed_digest import keyed_digest

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 10
GROUP = 5
LONGEST_TEXT = 64
BETWEEN = re.compile(r"[\s\-\u2010-\u2015]+")
LOOKALIKES = str.maketrans("OIL", "011")


def new_code() -> str:
    """50 bits. That is enough where tries are limited, and needs a keyed hash at rest (OWASP ASVS 5, 6.5.2)."""
    characters = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return f"{characters[:GROUP]}-{characters[GROUP:]}"


class InviteCodes:
    """Turns a code, however it was typed, into what is stored of it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash_of(self, code: str) -> bytes:
        typed = BETWEEN.sub("", code).upper().translate(LOOKALIKES)
        return keyed_digest(self._key, typed.encode())
