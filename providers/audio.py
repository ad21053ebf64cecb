"""What is heard and spoken, in OpenAI's wire format, which Groq speaks as well: the requests, and a strict reading of the answers.

Sources: developers.openai.com/api/reference/resources/audio and the types of the `openai` package, with which the tests compare it;
console.groq.com/docs/speech-to-text and /text-to-speech.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from urllib3 import encode_multipart_formdata

from providers.answer_values import NOT_TEXT, WRONG_TYPES
from providers.audio_models import Listener, Speaker
from providers.http_client import Reply
from providers.problems import NothingHeard, ProviderFailed, RecordingRefused

TRANSCRIPTIONS: Final = "/audio/transcriptions"
SPEECH: Final = "/audio/speech"
LARGEST_SPEECH: Final = 8 * 1024 * 1024
"""Bytes. MP3 of 4,096 characters takes about 5 MB."""
LONGEST_SECONDS: Final = 24 * 3600
"""No recording that is sent is longer, whatever an answer says."""
LONGEST_TRANSCRIPT: Final = 32_000
"""Characters. Nobody says so many in five minutes."""
UNREADABLE: Final = frozenset({400, 415, 422})
"""Statuses of a recording that the provider cannot decode."""


@dataclass(frozen=True, slots=True)
class Recording:
    """`format`: webm, ogg, wav or mp3. `language`: ISO 639-1, where the user said it. `seconds`: as measured."""

    audio: bytes = field(repr=False)
    format: str
    seconds: float
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """`seconds`: as the provider told them, else as measured. `cost_micros`: in millionths of a US dollar."""

    text: str = field(repr=False)
    seconds: float
    cost_micros: int
    mock: bool = False


@dataclass(frozen=True, slots=True)
class Speech:
    """`format`: as `Speaker.format`."""

    audio: bytes = field(repr=False)
    format: str
    cost_micros: int
    mock: bool = False


def transcription_request(model: Listener, recording: Recording) -> tuple[bytes, str]:
    """The body and its media type. The provider reads the format from the file's name."""
    name, media_type = f"recording.{recording.format}", f"audio/{recording.format}"
    fields: dict[str, Any] = {
        "model": model.id,
        "response_format": model.response_format,
        "file": (name, recording.audio, media_type),
    }
    if recording.language is not None:
        fields["language"] = recording.language
    return encode_multipart_formdata(fields)


def read_transcript(reply: Reply, model: Listener, recording: Recording) -> Transcript:
    """Of a reply with status 200. Raises ProviderFailed, and NothingHeard for a recording without words."""
    try:
        document = orjson.loads(reply.body)
        text, seconds = document["text"], _seconds_told(document)
    except WRONG_TYPES:
        raise ProviderFailed("reply_malformed") from None
    taken = recording.seconds if seconds is None else seconds
    cost = model.cost_micros(taken)
    if not isinstance(text, str) or len(text) > LONGEST_TRANSCRIPT or NOT_TEXT.search(text):
        raise ProviderFailed("reply_malformed", cost_micros=cost)
    if not text.strip():
        raise NothingHeard("nothing_heard", cost_micros=cost)
    return Transcript(text.strip(), taken, cost)


def transcription_failure(failure: ProviderFailed, status: int) -> ProviderFailed:
    """What was neither our key nor the provider's trouble is the recording's."""
    return RecordingRefused(failure.reason) if type(failure) is ProviderFailed and status in UNREADABLE else failure


def speech_request(model: Speaker, text: str) -> bytes:
    return orjson.dumps({"model": model.id, "voice": model.voice, "input": text, "response_format": model.format})


def read_speech(reply: Reply, model: Speaker, text: str) -> Speech:
    """Of a reply with status 200. The audio is handed on as it is. Raises ProviderFailed."""
    cost = model.cost_micros(len(text))
    if not reply.body:
        raise ProviderFailed("reply_empty", cost_micros=cost)
    return Speech(reply.body, model.format, cost)


def _seconds_told(document: Mapping[str, Any]) -> float | None:
    """`duration` of the long form; in the short one it stands in `usage` of models that are billed by it. None for what cannot be."""
    usage = document.get("usage")
    told = document.get("duration", usage.get("seconds") if isinstance(usage, dict) else None)
    if type(told) not in (int, float) or not math.isfinite(told) or not 0 < told <= LONGEST_SECONDS:
        return None
    return float(told)
