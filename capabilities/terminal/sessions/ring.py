"""The last part of an output."""

from typing import Final

RING_BYTES: Final = 2**20


class Ring:
    """Places are counted in bytes from the beginning of the output, so what fell out keeps its place."""

    def __init__(self, most: int = RING_BYTES) -> None:
        self._most = most
        self._held = bytearray()
        self._end = 0

    @property
    def start(self) -> int:
        """The place of the oldest byte that is still there."""
        return self._end - len(self._held)

    @property
    def end(self) -> int:
        """How many bytes there were."""
        return self._end

    def add(self, output: bytes) -> None:
        self._end += len(output)
        self._held += output
        if (over := len(self._held) - self._most) > 0:
            del self._held[:over]

    def read(self, place: int, most: int) -> bytes:
        """Raises ValueError when `place` has fallen out or is yet to come."""
        at = place - self.start
        if not 0 <= at <= len(self._held):
            raise ValueError(f"{place} is not between {self.start} and {self.end}")
        return bytes(self._held[at : at + most])

    def character_from(self, place: int) -> int:
        """The place of the first character at or after that: what is left of one that was cut is passed over."""
        rest = self.read(place, 4)
        return place + next((n for n, byte in enumerate(rest) if byte & 0xC0 != 0x80), 0)
