"""A JPEG or PNG without what a decoder does not need: positions, thumbnails, comments, profiles, and what follows its end.

It is cut out before anything is decoded, so decoders of metadata never see what a stranger wrote.
"""

import re
from dataclasses import dataclass
from typing import Final

MOST_PARTS = 5_000
MOST_SCANS = 64
"""Decoders go through the whole picture for each scan of a progressive JPEG; encoders write about ten."""

MARKER_IN_SCAN: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""Within a scan, 0xFF is a marker unless 0 or a restart follows (ITU-T T.81, B.1.1.5)."""
RST0, SOI, EOI, SOS, APP0, APP1, APP14, APP15, COM = 0xD0, 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
LEAST_WITH_LENGTH, FILL = 0xC0, 0xFF
JFIF_LENGTH = 14
FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
USUAL_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive, with Huffman codes: what every decoder knows."""
EXIF: Final = b"Exif\x00\x00"

PNG_START: Final = b"\x89PNG\r\n\x1a\n"
NEEDED_CHUNKS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
OPAQUE_TYPES: Final = frozenset({0, 2, 3})
"""Grey, colours and palette (PNG, third edition, 11.2.1), if there is no `tRNS`."""


class Damaged(Exception):
    """It is not what it begins as."""


@dataclass(frozen=True)
class Cut:
    """`may_stay`: any decoder knows what `data` is made of, and none of it is transparent."""

    data: bytes
    width: int
    height: int
    exif: bytes
    may_stay: bool


def cut_jpeg(data: bytes) -> Cut:
    """Raises Damaged, and IndexError where it ends too soon."""
    kept: list[bytes] = [b"\xff\xd8"]
    at, scans, exif = 2, 0, b""
    frame: tuple[int, int, int, int] | None = None
    for _ in range(MOST_PARTS):
        at, marker = _next_marker(data, at)
        if marker == EOI:
            if frame is None or not scans:
                raise Damaged
            kind, width, height, components = frame
            return Cut(
                b"".join((*kept, b"\xff\xd9")), width, height, exif, kind in USUAL_FRAMES and components in {1, 3}
            )
        content, end = at + 3, at + 1 + int.from_bytes(data[at + 1 : at + 3], "big")
        if end < content or end >= len(data) or marker < LEAST_WITH_LENGTH or RST0 <= marker <= SOI:
            raise Damaged
        if marker in FRAMES:
            if frame is not None or end < content + 6:
                raise Damaged
            height, width = (int.from_bytes(data[content + each : content + each + 2], "big") for each in (1, 3))
            frame = (marker, width, height, data[content + 5])
        elif marker == SOS:
            scans += 1
            following = MARKER_IN_SCAN.search(data, end)
            if scans > MOST_SCANS or following is None:
                raise Damaged
            end = following.start()
        elif marker == APP1 and not exif and data.startswith(EXIF, content, end):
            exif = data[content:end]
        kept.append(_needed(data, marker, at, end))
        at = end
    raise Damaged


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """Where its code stands, and the code."""
    if data[at] != FILL:
        raise Damaged
    while data[at] == FILL:
        at += 1
    return at, data[at]


def _needed(data: bytes, marker: int, at: int, end: int) -> bytes:
    """Of the segment whose code stands at `at`, with the 0xFF before it."""
    content = at + 3
    if marker == APP0 and data.startswith(b"JFIF\x00", content, end) and end - content >= JFIF_LENGTH:
        return b"\xff\xe0\x00\x10" + data[content : content + JFIF_LENGTH - 2] + b"\x00\x00"  # without its thumbnail
    if marker == APP14 and data.startswith(b"Adobe", content, end):
        return data[at - 1 : end]  # what the colours are
    return b"" if APP0 <= marker <= APP15 or marker == COM else data[at - 1 : end]


def cut_png(data: bytes) -> Cut:
    """Raises Damaged, and IndexError where it ends too soon. Whether its checksums are right is for the decoder to say."""
    kept: list[bytes | memoryview] = [PNG_START]
    view = memoryview(data)
    exif, transparent = b"", False
    if data[8:16] != b"\x00\x00\x00\x0dIHDR":
        raise Damaged
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    at = len(PNG_START)
    for _ in range(MOST_PARTS):
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        data[end - 1]
        if kind in NEEDED_CHUNKS:
            kept.append(view[at:end])
            transparent = transparent or kind == b"tRNS"
        elif kind == b"eXIf":
            exif = data[at + 8 : end - 4]
        at = end
        if kind == b"IEND":
            return Cut(b"".join(kept), width, height, exif, data[25] in OPAQUE_TYPES and not transparent)
    raise Damaged
