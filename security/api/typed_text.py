"""Text that people type or paste, read as it is meant. Passwords and tokens are never changed: they count as they are.

Each marker stands in an `Annotated` after the text's own bounds, and so runs before them.
"""

import re
import unicodedata
from collections.abc import Callable

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticKnownError

# Controls, and characters that are not seen but change how others are: zero width, line and paragraph ends, direction.
# U+200C and U+200D stay, because Persian, Indic scripts and emoji are written with them.
UNSEEN = r"\x00-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
BLANKS = r"\s\u200b\u200e\u200f\u202a\u202c\u2060\ufeff"
"""What AutoFill and the clipboard put around a text: white space, and marks without a width."""
SEEN = rf"[^\s{UNSEEN}]"
"""Something to see, anywhere."""
ONE_LINE = rf"^[{BLANKS}]*[^\s{UNSEEN}]([^{UNSEEN}]*[^\s{UNSEEN}])?[{BLANKS}]*$"
"""A name that people gave, trimmed: something to see at both ends, and one line."""

_AROUND = "".join(re.findall(rf"[{BLANKS}]", "".join(map(chr, (*range(0x2070), 0x3000, 0xFEFF)))))
_SEEN = re.compile(SEEN)
_BETWEEN = re.compile(rf"[{BLANKS}\-\u00ad\u2010-\u2015\u2212\ufe58\ufe63\uff0d]+")
"""Blanks and every hyphen and dash: keyboards and word processors replace the one that was printed."""


def trimmed(text: str) -> str:
    """Without the blanks around it."""
    return text.strip(_AROUND)


def _with_something_to_see(text: str) -> str:
    if _SEEN.search(text) is None:
        raise ValueError("Enter more than spaces")
    return text


def without_groups(text: str) -> str:
    """Without the blanks and dashes that make a code readable: `123 456`, `7KQ2M-X40DR`."""
    return _BETWEEN.sub("", text)


def _ascii_digits(text: str) -> str:
    """Keyboards of many scripts have digits of their own."""
    return "".join(str(unicodedata.decimal(character, character)) for character in without_groups(text))


def _without_blanks(text: str) -> str:
    return "".join(text.split())


def _reads(read: Callable[[str], str]) -> BeforeValidator:
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def trims(most: int) -> BeforeValidator:
    """Without the blanks around it. They count for the text's longest length, as the OpenAPI document says."""

    def read(text: str) -> str:
        if len(text) > most:
            raise PydanticKnownError("string_too_long", {"max_length": most})
        return trimmed(text)

    return _reads(read)


NOT_BLANK = AfterValidator(_with_something_to_see)
"""For texts that are kept as they are. The schema says it by `SEEN`."""
DIGITS = _reads(_ascii_digits)
IN_LOWER_CASE = _reads(lambda text: text.lower() if text.isascii() else text)
"""For names without regard to case. A Kelvin sign, which would become a k, stays what it is."""
WITHOUT_BLANKS = _reads(_without_blanks)
"""For base64, which libraries break into lines."""
