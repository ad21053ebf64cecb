"""A provider that calls nobody: for development without a key."""

import io
import re
import wave
from collections.abc import AsyncGenerator, Mapping, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from metering.breaker import Breaker
from providers.audio import Recording, Speech, Transcript
from providers.audio_models import Listener, Speaker
from providers.catalogue import Model
from providers.completion import NO_OPTIONS, Completion, Finish, Format, Message, Prompt, estimated_usage, tokens_of
from providers.events import Delta, Event, Finished, Reported
from providers.health import ProviderHealth

SILENT_SAMPLES, SAMPLES_PER_SECOND = 2_000, 8_000


class MockProvider:
    """The same picture always gets the same answer, and so does the same text without one."""

    mock = True
    format = Format.CHAT_COMPLETIONS

    def __init__(self, name: str) -> None:
        self.name = name
        self.breaker = Breaker()
        self.health = ProviderHealth(name, self.breaker)

    def complete(
        self,
        model: Model,
        messages: Sequence[Message],
        *,
        max_output_tokens: int,
        deadline_seconds: float,
        request_id: UUID,
    ) -> Completion:
        """As long as it may be, and free."""
        pictures = [picture.data for message in messages for picture in message.pictures]
        asked = pictures or [message.text.encode() for message in messages]
        number = int.from_bytes(sha256(b"".join(asked)).digest()[:2])
        text = f"This is a mock answer; no AI provider was asked.\n\n$x = {number}$"
        usage = estimated_usage(messages, min(tokens_of(len(text)), max_output_tokens))
        return Completion(text, model.id, self.name, usage, Finish.STOP, cost_micros=0, mock=True)

    async def stream(
        self,
        model: Model,
        prompt: Prompt,
        *,
        max_output_tokens: int,
        temperature: float | None = None,
        options: Mapping[str, Any] = NO_OPTIONS,
        deadline_seconds: float,
        idle_seconds: float,
        request_id: UUID,
    ) -> AsyncGenerator[Event, None]:
        """The same answer, word by word."""
        completion = self.complete(
            model,
            prompt.messages,
            max_output_tokens=max_output_tokens,
            deadline_seconds=deadline_seconds,
            request_id=request_id,
        )
        for word in re.findall(r"\S+\s*", completion.text):
            yield Delta(word)
        yield Reported(completion.usage)
        yield Finished(completion.finish)

    async def transcribe(
        self, model: Listener, recording: Recording, *, deadline_seconds: float, request_id: UUID
    ) -> Transcript:
        number = int.from_bytes(sha256(recording.audio).digest()[:2])
        text = f"This is a mock transcript; no AI provider was asked. It is number {number}."
        return Transcript(text, recording.seconds, cost_micros=0, mock=True)

    async def speak(self, model: Speaker, text: str, *, deadline_seconds: float, request_id: UUID) -> Speech:
        """A moment of silence."""
        audio = io.BytesIO()
        with wave.open(audio, "wb") as opened:
            opened.setnchannels(1)
            opened.setsampwidth(2)
            opened.setframerate(SAMPLES_PER_SECOND)
            opened.writeframes(bytes(2 * SILENT_SAMPLES))
        return Speech(audio.getvalue(), "wav", cost_micros=0, mock=True)
