"""The number of an order, for people. It says nothing of how many orders there are."""

import secrets
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32 (crockford.com/base32.html): no I, L, O and U, which are read as others."""


def new_number() -> str:
    """40 random bits, such as `B7Q2-M4XK`."""
    characters = "".join(secrets.choice(ALPHABET) for _ in range(8))
    return f"{characters[:4]}-{characters[4:]}"
