"""The recordings that this process holds, all in memory and nowhere else."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from capabilities.chat.voice.bodies import VoiceStartBody
from capabilities.chat.voice.problems import RecordingTooLarge, TooManyRecordings

LARGEST_RECORDING: Final = 25 * 2**20
"""What OpenAI and Groq take at most."""
MOST_BYTES: Final = 128 * 2**20
"""Of all of them together. A minute of Opus has about 250 KB, so some hundred people may speak at once."""


@dataclass(eq=False)
class Recording:
    """`size`: bytes that were received."""

    wanted: VoiceStartBody
    size: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    followed: asyncio.Task[None] = field(init=False)
    """What waits for its end, and answers it."""
    _chunks: list[bytes] = field(default_factory=list, repr=False)

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._chunks.append(data)

    def taken(self) -> bytes:
        """The whole, which is kept no longer."""
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)


class Recordings:
    """Used on the loop of the sockets alone."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.size = 0
        """Bytes of all of them."""
        self._most_bytes = most_bytes
        self._held: set[Recording] = set()

    def begin(self, wanted: VoiceStartBody) -> Recording:
        recording = Recording(wanted)
        self._held.add(recording)
        return recording

    def add(self, recording: Recording, data: bytes) -> None:
        """Raises RecordingTooLarge and TooManyRecordings."""
        if recording.size + len(data) > LARGEST_RECORDING:
            raise RecordingTooLarge(LARGEST_RECORDING)
        if self.size + len(data) > self._most_bytes:
            raise TooManyRecordings
        recording.add(data)
        self.size += len(data)

    def forget(self, recording: Recording) -> None:
        """Once is enough. Until then it counts, also when its bytes are on their way to the provider."""
        if recording in self._held:
            self._held.remove(recording)
            self.size -= recording.size
            recording.taken()
