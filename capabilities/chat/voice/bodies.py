"""What clients send with the events of voice, and what they are told."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, Discriminator, Field, RootModel

from security.api.idempotency_key import KEY
from security.api.models import AnswerBody, Body

Container = Literal["webm", "ogg", "wav", "mp3"]


class VoiceStartBody(Body):
    conversation_id: UUID
    format: Container
    """WebM with Opus, Ogg with Opus or Vorbis, WAV or MP3."""
    language: Annotated[str, Field(pattern="^[a-z]{2}$", examples=["en"])] | None = None
    """What is spoken, in ISO 639-1. By default the model finds out."""
    speak: bool = False
    """Get the reply as audio, too."""
    idempotency_key: Annotated[str, Field(pattern=f"^{KEY.pattern}$")] | None = None
    """Of your choice, a new one for each recording. If you are not sure that a recording arrived, send it again with the same one:
    it is transcribed and counted once."""


class VoiceStopBody(Body):
    """Nothing needs to be said."""


class VoiceReady(AnswerBody):
    conversation_id: UUID
    largest_chunk: int
    """Bytes."""
    largest_recording: int
    """Bytes."""
    longest_seconds: int


class VoiceTranscript(AnswerBody):
    conversation_id: UUID
    text: str
    seconds: int
    """That were counted."""


class VoiceChunk(AnswerBody):
    type: Literal["chunk"] = "chunk"
    conversation_id: UUID
    message_id: UUID
    format: str
    """Of the audio: mp3, opus, aac, flac or wav. The chunks of one sentence are one file."""
    sentence: int
    """Counted from 0."""
    sentence_ends: bool
    """It is the last chunk of its sentence. `data` stands beside these members, as bytes."""


class VoiceChunkTold(VoiceChunk):
    data: bytes


class VoiceEnd(AnswerBody):
    type: Literal["end"] = "end"
    conversation_id: UUID
    message_id: UUID
    sentences: int
    complete: bool
    """False: the reply was longer than what is spoken, or ended early."""


class SpokenTold(RootModel[Annotated[VoiceChunkTold | VoiceEnd, Discriminator("type")]]):
    """A piece of the reply as audio, or that there is no more."""


TOLD: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {"voice:ready": VoiceReady, "voice:transcript": VoiceTranscript, "voice:audio": SpokenTold}
)
