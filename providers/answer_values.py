"""What texts and figures of a provider may be."""

import re
from typing import TypeGuard

MOST_TOKENS = 100_000_000
"""No call takes more, whatever an answer says."""
NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
"""What neither PostgreSQL nor UTF-8 can hold."""
WRONG_TYPES = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What reading a document raises that is not as it should be."""


def is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MOST_TOKENS
