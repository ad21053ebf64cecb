"""Recordings of silence in each format, as small as they can be and as wrong as a test wants them."""

import io
import struct
import wave
from collections.abc import Callable, Sequence
from typing import Final

OPUS_20_MS: Final = b"\xf8\xff\xfe"
"""A packet of CELT with one frame of 20 ms, as encoders send it for silence."""
PACKET_SECONDS: Final = 0.02
MP3_FRAME: Final = b"\xff\xfb\x90\xc4" + bytes(413)
"""MPEG-1 layer III, 128 kbit/s at 44.1 kHz."""
MP3_FRAME_SECONDS: Final = 1_152 / 44_100


def wav(seconds: float, *, rate: int = 8_000) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(rate)
        opened.writeframes(bytes(round(seconds * rate) * 2))
    return content.getvalue()


def mp3(seconds: float) -> bytes:
    return MP3_FRAME * round(seconds / MP3_FRAME_SECONDS)


def ogg_page(position: int, packets: Sequence[bytes], *, flags: int = 0, serial: int = 1) -> bytes:
    """Packets of fewer than 255 bytes. Nobody here looks at the checksum."""
    lacing = bytes(len(packet) for packet in packets)
    head = struct.pack("<4sBBQIIIB", b"OggS", 0, flags, position, serial, 0, 0, len(lacing))
    return head + lacing + b"".join(packets)


def ogg_heads(*, serial: int = 1) -> bytes:
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I4sI", 4, b"test", 0)
    return ogg_page(0, [head], flags=2, serial=serial) + ogg_page(0, [tags], serial=serial)


def ogg(seconds: float, *, starts: int = 0, told: float | None = None, serial: int = 1) -> bytes:
    """Opus. `starts`: the position of its beginning. `told`: the seconds that its positions say, where they lie."""
    pages, left = [ogg_heads(serial=serial)], round(seconds / PACKET_SECONDS)
    sent = 0
    while left:
        packets = min(left, 50)
        left, sent = left - packets, sent + packets
        share = 1.0 if told is None else told / seconds
        position = starts + round(sent * 960 * share)
        pages.append(ogg_page(position, [OPUS_20_MS] * packets, serial=serial))
    return b"".join(pages)


def vorbis_ogg(seconds: float, *, rate: int = 44_100) -> bytes:
    head = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 1, rate, 0, 0, 0, 0xB8, 1)
    pages = [ogg_page(0, [head], flags=2)]
    pages += [ogg_page(round(rate * min(at + 1, seconds)), [b"\x00" * 60]) for at in range(max(1, -int(-seconds // 1)))]
    return b"".join(pages)


def element(name: int, content: bytes, *, size_left_open: bool = False) -> bytes:
    """Of EBML."""
    id_ = name.to_bytes((name.bit_length() + 7) // 8, "big")
    size = b"\x01" + b"\xff" * 7 if size_left_open else (1 << 56 | len(content)).to_bytes(8, "big")
    return id_ + size + content


def webm_head(*, codec: bytes = b"A_OPUS", scale: int = 1_000_000, duration: float | None = None) -> bytes:
    """What is in a segment before its clusters."""
    info = element(0x2AD7B1, scale.to_bytes(4, "big"))
    if duration is not None:
        info += element(0x4489, struct.pack(">d", duration))
    track = element(0xD7, b"\x01") + element(0x83, b"\x02") + element(0x86, codec)
    return element(0x1549A966, info) + element(0x1654AE6B, element(0xAE, track))


def block(time: int, packet: bytes = OPUS_20_MS, *, flags: int = 0x80) -> bytes:
    """`time`: since the start of its cluster."""
    return element(0xA3, b"\x81" + time.to_bytes(2, "big", signed=True) + bytes([flags]) + packet)


def webm(
    seconds: float,
    *,
    starts: int = 0,
    claimed: float | None = None,
    timed: Callable[[int], int] = lambda time: time,
    head: bytes | None = None,
) -> bytes:
    """As a browser records: the sizes of the segment and of its clusters are left open. `claimed`: seconds of its `Duration`.

    `timed`: what its blocks say of their time, in milliseconds.
    """
    blocks, clusters = round(seconds / PACKET_SECONDS), b""
    for first in range(0, blocks, 500):
        times = [20 * number for number in range(first, min(first + 500, blocks))]
        cluster = element(0xE7, (starts + timed(times[0])).to_bytes(8, "big"))
        cluster += b"".join(block(timed(time) - timed(times[0])) for time in times)
        clusters += element(0x1F43B675, cluster, size_left_open=True)
    inside = (head or webm_head(duration=None if claimed is None else claimed * 1_000)) + clusters
    ebml = element(0x1A45DFA3, element(0x4282, b"webm"))
    return ebml + element(0x18538067, inside, size_left_open=True)


MADE: Final[dict[str, Callable[[float], bytes]]] = {"webm": webm, "ogg": ogg, "wav": wav, "mp3": mp3}
