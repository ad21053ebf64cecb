"""A reply in pieces that can be spoken one after the other, while it is still being written."""

import re
from collections.abc import Iterator
from typing import Final

SHORTEST: Final = 40
"""Characters. Shorter sentences are spoken together with the next one: each piece is a call."""
END: Final = re.compile(r"[.!?\u2026][\"'\u201d\u2019)\]*_]*\s|[\u3002\uff01\uff1f]|\n")

LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
MARKS: Final = re.compile(r"[*_`#>|~]+")
"""Of Markdown. Nobody wants to hear them."""


class Sentences:
    """`longest`: characters of a piece. What has not come to its end yet waits for more."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = ""

    def more(self, text: str) -> Iterator[str]:
        """The pieces that are complete now. They are never blank."""
        self._rest += text
        while (cut := self._cut()) is not None:
            piece, self._rest = self._rest[:cut], self._rest[cut:]
            if piece.strip():
                yield piece.strip()

    def last(self) -> Iterator[str]:
        """What is left, when no more comes."""
        yield from self.more("")
        if self._rest.strip():
            yield self._rest.strip()
        self._rest = ""

    def _cut(self) -> int | None:
        for match in END.finditer(self._rest, min(SHORTEST, self._longest)):
            if match.end() <= self._longest:
                return match.end()
            break
        if len(self._rest) <= self._longest:
            return None
        blank = self._rest.rfind(" ", 1, self._longest)
        return self._longest if blank < 0 else blank + 1


def spoken_form(sentence: str) -> str:
    """Without the marks of Markdown, and of links only what is shown. Empty when there are no words in it."""
    text = " ".join(MARKS.sub("", LINK.sub(r"\1", sentence)).split())
    return text if any(letter.isalnum() for letter in text) else ""
