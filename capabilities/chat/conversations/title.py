"""The title that a conversation has when its user gave it none."""

from typing import Final

LONGEST_TITLE: Final = 100


def title_of(content: str) -> str:
    """Its first line that says something, shortened."""
    line = next((line for line in map(str.strip, content.splitlines()) if line), "")
    return line if len(line) <= LONGEST_TITLE else f"{line[:LONGEST_TITLE - 1].rstrip()}…"
