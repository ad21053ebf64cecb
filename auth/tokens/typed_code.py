"""Codes that people read out and type: ten characters in two groups, such as 7KQ2M-X40DR.

The alphabet is Crockford's base32: no letter that looks like a digit, and those that do are read as the digit.
"""

import secrets

from security.api.typed_text import without_groups

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 10
GROUP = 5
LONGEST_TYPED = 64
_READ_AS = str.maketrans("abcdefghijklmnopqrstuvwxyzOIL", "ABCDEFGH1JK1MN0PQRSTUVWXYZ011")


def new_code() -> str:
    """50 bits. That is enough where tries are limited, and needs a keyed hash at rest (OWASP ASVS 5, 6.5.2)."""
    characters = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return f"{characters[:GROUP]}-{characters[GROUP:]}"


def read_code(typed: str) -> str:
    """The ten characters that were meant. Letters of other scripts stay what they are, and so are no code."""
    return without_groups(typed).translate(_READ_AS)
