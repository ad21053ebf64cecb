"""WAV: the samples that are there, at the rate of its `fmt` chunk.

What is written while it is being recorded says nothing of its size, or too little, so all that follows the head of the data is
taken for samples. Source: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0"; RFC 2361 for the formats.
"""

import struct
from typing import Final

from capabilities.chat.voice.length.unreadable import Unreadable

FORMATS: Final = frozenset({1, 3, 6, 7, 0xFFFE})
"""PCM, float, A-law, µ-law and the extensible form of these: those in which a sample has a fixed size."""
LARGEST_HEAD: Final = 64 * 1024
FMT = struct.Struct("<HHIIHH")


def wav_seconds(audio: bytes, _: float) -> float:
    if audio[:4] != b"RIFF" or audio[8:12] != b"WAVE":
        raise Unreadable
    at, bytes_a_second = 12, 0
    while at + 8 <= min(len(audio), LARGEST_HEAD):
        name, size = audio[at : at + 4], int.from_bytes(audio[at + 4 : at + 8], "little")
        at += 8
        if name == b"data":
            if not bytes_a_second:
                raise Unreadable
            return (len(audio) - at) / bytes_a_second
        if name == b"fmt ":
            bytes_a_second = _rate(audio[at : at + FMT.size])
        at += size + size % 2
    raise Unreadable


def _rate(fmt: bytes) -> int:
    """From the samples themselves: the field that says it may say anything."""
    if len(fmt) < FMT.size:
        raise Unreadable
    kind, channels, samples_a_second, _, _, bits = FMT.unpack(fmt)
    if kind not in FORMATS or not channels or not samples_a_second or bits not in {8, 16, 24, 32, 64}:
        raise Unreadable
    return int(samples_a_second * channels * bits // 8)
