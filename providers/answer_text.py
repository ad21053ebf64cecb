"""What every text of a provider has to be, and what its figures may say."""

import re
from typing import TypeGuard

from providers.problems import ProviderFailed

MOST_TOKENS = 100_000_000
"""No call takes more, whatever an answer says."""
LONGEST_TEXT = 1024 * 1024
"""Of a streamed reply, in bytes of UTF-8. The longest reply of today's models, 128,000 tokens, has about half of it."""
NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
"""What neither PostgreSQL nor UTF-8 can hold."""


def size_of_piece(text: object) -> int:
    """In bytes of UTF-8. Raises ProviderFailed for what is no text."""
    if not isinstance(text, str) or "\0" in text:
        raise ProviderFailed("reply_malformed")
    return len(text) if text.isascii() else len(text.encode())  # orjson lets no lone surrogate pass


def is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MOST_TOKENS
