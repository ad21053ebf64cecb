"""How long a recording is. Everything here runs in time that is bounded by its size, and stops where it is too long anyway."""

from collections.abc import Callable, Mapping
from typing import Final

from capabilities.chat.voice.length.mp3 import mp3_seconds
from capabilities.chat.voice.length.ogg import ogg_seconds
from capabilities.chat.voice.length.unreadable import Unreadable
from capabilities.chat.voice.length.wav import wav_seconds
from capabilities.chat.voice.length.webm import webm_seconds
from capabilities.chat.voice.problems import RecordingTooLong, RecordingTooShort, RecordingUnreadable

LONGEST_SECONDS: Final = 300
SHORTEST_SECONDS: Final = 0.1
"""OpenAI refuses what is shorter ("Minimum audio length is 0.1 seconds")."""
READERS: Final[Mapping[str, Callable[[bytes, float], float]]] = {
    "webm": webm_seconds,
    "ogg": ogg_seconds,
    "wav": wav_seconds,
    "mp3": mp3_seconds,
}


def read_length(audio: bytes, container: str) -> float:
    """Seconds. Raises RecordingUnreadable, RecordingTooShort and RecordingTooLong."""
    try:
        seconds = READERS[container](audio, LONGEST_SECONDS)
    except Unreadable:
        raise RecordingUnreadable(container) from None
    if seconds > LONGEST_SECONDS:
        raise RecordingTooLong(LONGEST_SECONDS)
    if seconds < SHORTEST_SECONDS:
        raise RecordingTooShort
    return seconds
