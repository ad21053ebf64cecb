"""MP3: frame by frame, so that a variable bit rate is counted as well, and a Xing or VBRI head that lies changes nothing.

Source: ISO/IEC 11172-3 and 13818-3 (the head of a frame), id3.org (ID3v2).
"""

from typing import Final

from capabilities.chat.voice.length.unreadable import Unreadable

RATES: Final = (44_100, 48_000, 32_000)
KILOBITS_1: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KILOBITS_2: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
MOST_JUNK: Final = 64 * 1024
"""Bytes between frames, in all. A recording has none but tags."""
LAYER_3: Final = 0b01


def mp3_seconds(audio: bytes, most: float) -> float:
    """Stops behind `most` seconds."""
    at, seconds, junk, frames = _behind_tag(audio), 0.0, 0, 0
    while at + 4 <= len(audio) and seconds <= most:
        frame = _frame(audio[at : at + 4])
        if frame is None:
            found = audio.find(b"\xff", at + 1)
            following = len(audio) if found < 0 else found
            junk += following - at
            if junk > MOST_JUNK:
                raise Unreadable
            at = following
            continue
        size, lasts = frame
        frames += 1
        seconds += lasts
        at += size
    if frames < 2:
        raise Unreadable
    return seconds


def _behind_tag(audio: bytes) -> int:
    if audio[:3] != b"ID3" or len(audio) < 10:
        return 0
    size = 0
    for byte in audio[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _frame(head: bytes) -> tuple[int, float] | None:
    """Bytes and seconds. None for what is no frame."""
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 0b11, head[1] >> 1 & 0b11
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 0b11
    if version == 0b01 or layer != LAYER_3 or bit_rate in {0, 15} or sample_rate == 0b11:
        return None
    first = version == 0b11
    rate = RATES[sample_rate] // {0b11: 1, 0b10: 2, 0b00: 4}[version]
    bits = (KILOBITS_1 if first else KILOBITS_2)[bit_rate - 1] * 1_000
    samples = 1_152 if first else 576
    return samples // 8 * bits // rate + (head[2] >> 1 & 1), samples / rate
