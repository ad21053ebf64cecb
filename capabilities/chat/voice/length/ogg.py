"""Ogg with Opus or Vorbis: the positions that its pages tell, and of Opus the packets themselves. The larger counts.

Sources: RFC 3533 (pages), RFC 7845 (Opus), xiph.org/vorbis/doc/Vorbis_I_spec.html, section 4.2.2.
"""

from dataclasses import dataclass
from typing import Final

from capabilities.chat.voice.length.opus import packet_seconds
from capabilities.chat.voice.length.unreadable import Unreadable

MAGIC: Final = b"OggS"
HEAD_BYTES: Final = 27
CONTINUED, FIRST = 0x01, 0x02
FULL_SEGMENT: Final = 255
"""Its packet goes on in the next one."""
NO_POSITION: Final = 2**64 - 1
OPUS_RATE: Final = 48_000
"""Of all positions, whatever was recorded."""
OPUS_HEADS: Final = (b"OpusHead", b"OpusTags")
VORBIS_HEAD: Final = b"\x01vorbis"
MOST_SEGMENTS: Final = 60_000
"""Five minutes have 30,000 packets when each is 10 ms, and a packet of speech has one or two segments."""
MOST_STREAMS: Final = 8


@dataclass
class _Stream:
    """`begins` and `ends` are positions, in samples of `rate` a second."""

    rate: int
    opus: bool
    begins: int | None = None
    ends: int = 0
    packets: float = 0.0

    @property
    def seconds(self) -> float:
        told = 0.0 if self.begins is None else (self.ends - self.begins) / self.rate
        return max(told, self.packets)


def ogg_seconds(audio: bytes, most: float) -> float:
    """Streams are added up: they come one after the other. Stops behind `most` seconds."""
    streams: list[_Stream] = []
    current: dict[int, _Stream] = {}
    at = read = 0
    while at + HEAD_BYTES <= len(audio) and sum(each.seconds for each in streams) <= most:
        if not audio.startswith(MAGIC, at):
            raise Unreadable
        flags, position = audio[at + 5], int.from_bytes(audio[at + 6 : at + 14], "little")
        serial, segments = int.from_bytes(audio[at + 14 : at + 18], "little"), audio[at + 26]
        body = at + HEAD_BYTES + segments
        lacing = audio[at + HEAD_BYTES : body]
        if flags & FIRST:
            current[serial] = _opened(audio, body)
            streams.append(current[serial])
        stream, read = current.get(serial), read + segments + 1
        if stream is None or len(streams) > MOST_STREAMS or read > MOST_SEGMENTS:
            raise Unreadable
        held = _opus_packets(audio, body, lacing, continued=bool(flags & CONTINUED)) if stream.opus else 0.0
        stream.packets += held
        if 0 < position < NO_POSITION:
            if stream.begins is None:  # a recording that was cut out of a longer one does not begin at 0
                stream.begins = max(0, position - round(held * stream.rate)) if stream.opus else 0
            stream.ends = max(stream.ends, position)
        at = body + sum(lacing)
    if not streams:
        raise Unreadable
    return sum(each.seconds for each in streams)


def _opened(audio: bytes, body: int) -> _Stream:
    if audio.startswith(OPUS_HEADS[0], body):
        return _Stream(OPUS_RATE, opus=True)
    rate = int.from_bytes(audio[body + 12 : body + 16], "little")
    if not audio.startswith(VORBIS_HEAD, body) or not rate:
        raise Unreadable
    return _Stream(rate, opus=False)


def _opus_packets(audio: bytes, body: int, lacing: bytes, *, continued: bool) -> float:
    """Seconds of those that begin on this page."""
    seconds, at, begins = 0.0, body, not continued
    for size in lacing:
        packet = audio[at : at + min(size, 2)]
        if begins and packet and not audio.startswith(OPUS_HEADS, at):
            seconds += packet_seconds(packet)
        begins = size < FULL_SEGMENT
        at += size
    return seconds
