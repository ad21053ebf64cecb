"""WebM with Opus, as browsers record it: the times of its blocks, and the packets themselves. The larger counts.

A browser that records says nowhere how long it will be, and leaves the sizes of what it has not finished open.
Sources: RFC 8794 (EBML), RFC 9559 (Matroska), webmproject.org/docs/container.
"""

from dataclasses import dataclass
from typing import Final

from capabilities.chat.voice.length.opus import packet_seconds
from capabilities.chat.voice.length.unreadable import Unreadable

MAGIC: Final = b"\x1a\x45\xdf\xa3"
SEGMENT, CLUSTER, BLOCK_GROUP = 0x18538067, 0x1F43B675, 0xA0
INFO, TRACKS, TRACK_ENTRY = 0x1549A966, 0x1654AE6B, 0xAE
INSIDE: Final = frozenset({SEGMENT, CLUSTER, BLOCK_GROUP, INFO, TRACKS, TRACK_ENTRY})
"""What is looked into. Everything else is passed over by its size."""
TIMESTAMP_SCALE, CODEC, TIMESTAMP, SIMPLE_BLOCK, BLOCK = 0x2AD7B1, 0x86, 0xE7, 0xA3, 0xA1
NANOSECONDS: Final = 1_000_000_000
USUAL_SCALE: Final = 1_000_000
MOST_ELEMENTS: Final = 50_000
"""Five minutes have 30,000 blocks when each is 10 ms; browsers make them of 20 or 60."""
LONGEST_HEAD: Final = 16
"""Of a block: its track, time and flags, and the first two bytes of its packet."""
LEFT_OPEN: Final = -1
"""In place of a size."""
OPUS: Final = b"A_OPUS"
LACED: Final = 0x06


@dataclass
class _Read:
    """Times are in units of `scale` nanoseconds."""

    scale: int = USUAL_SCALE
    has_track: bool = False
    cluster: int = 0
    first: int | None = None
    last: int = 0
    packets: float = 0.0

    @property
    def seconds(self) -> float:
        told = 0.0 if self.first is None else (self.last - self.first) * self.scale / NANOSECONDS
        return max(told, self.packets)


def webm_seconds(audio: bytes, most: float) -> float:
    """Stops behind `most` seconds."""
    if not audio.startswith(MAGIC):
        raise Unreadable
    read, at = _Read(), 0
    for _ in range(MOST_ELEMENTS):
        element, begins = _number(audio, at, keep_mark=True)
        size, begins = _number(audio, begins, keep_mark=False) if begins else (0, 0)
        if not begins or read.seconds > most:  # it ends in the middle of a head
            break
        if element in INSIDE:
            at = begins
        elif size == LEFT_OPEN:
            raise Unreadable  # only what is looked into may leave its size open
        else:
            _take(read, element, audio[begins : begins + min(size, LONGEST_HEAD)], size)
            at = begins + size
    else:
        raise Unreadable
    if read.first is None:
        raise Unreadable
    return read.seconds


def _take(read: _Read, element: int, data: bytes, size: int) -> None:
    """`data`: the first bytes of the element."""
    if element == TIMESTAMP_SCALE:
        read.scale = _unsigned(data, size)
    elif element == CODEC:
        if data != OPUS or size != len(OPUS):
            raise Unreadable
        read.has_track = True
    elif element == TIMESTAMP:
        read.cluster = _unsigned(data, size)
    elif element in {SIMPLE_BLOCK, BLOCK}:
        _take_block(read, data)


def _take_block(read: _Read, data: bytes) -> None:
    _, at = _number(data, 0, keep_mark=False)
    packet = data[at + 3 :]
    if not at or not packet:
        return  # cut off: nobody can hear it
    if not read.has_track or data[at + 2] & LACED:
        raise Unreadable
    time = read.cluster + int.from_bytes(data[at : at + 2], "big", signed=True)
    read.first = time if read.first is None else min(read.first, time)
    read.last = max(read.last, time)
    read.packets += packet_seconds(packet)


def _unsigned(data: bytes, size: int) -> int:
    if not 0 < size <= 8:
        raise Unreadable
    return int.from_bytes(data[:size], "big")


def _number(data: bytes, at: int, *, keep_mark: bool) -> tuple[int, int]:
    """A variable-size integer, and where it ends: 0 when the data ends before.

    Raises Unreadable.
    """
    if at >= len(data):
        return 0, 0
    length = 9 - data[at].bit_length()
    if length > (4 if keep_mark else 8):
        raise Unreadable
    end = at + length
    if end > len(data):
        return 0, 0
    value = int.from_bytes(data[at:end], "big")
    if keep_mark:
        return value, end
    mask = (1 << 7 * length) - 1
    return LEFT_OPEN if value & mask == mask else value & mask, end
