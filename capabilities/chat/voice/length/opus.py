"""How long a packet of Opus is, from its first byte or two. Source: RFC 6716, sections 3.1 and 3.2."""

from typing import Final

_SILK, _HYBRID, _CELT = (10.0, 20.0, 40.0, 60.0), (10.0, 20.0), (2.5, 5.0, 10.0, 20.0)
FRAME_MS: Final = (*_SILK * 3, *_HYBRID * 2, *_CELT * 4)
LONGEST_PACKET_MS: Final = 120.0


def packet_seconds(packet: bytes) -> float:
    """Of a packet that is not empty. Its second byte counts the frames of some."""
    counted = packet[1] & 0x3F if len(packet) > 1 else 0
    frames = (1, 2, 2, counted)[packet[0] & 0b11]
    return min(FRAME_MS[packet[0] >> 3] * frames, LONGEST_PACKET_MS) / 1_000
