"""Recordings of speech as OpenAI and Groq take them. What is heard follows from the bytes: only the head of a WAV is read."""

import io
import math
import wave
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from sandbox.ai_server.refusals import Refused

PATH = "/audio/transcriptions"
ENDINGS = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "opus", "wav", "webm")
LARGEST_FILE = 25 * 1024 * 1024
SHORTEST_SECONDS = 0.1
BYTES_A_SECOND = 16_000
"""Of what is not WAV: 128 kbit a second."""
FORMATS = ("json", "verbose_json")
WHISPER = "whisper"
"""Models of this name alone have the long form."""


@dataclass(frozen=True)
class Recording:
    model: str
    content: bytes
    seconds: float
    verbose: bool

    @property
    def heard(self) -> str:
        return f"You said {len(self.content)} bytes, {sha256(self.content).hexdigest()[:8]}."

    def rendered(self, text: str) -> dict[str, Any]:
        # Models that are priced by tokens tell those.
        used = {"usage": {"type": "duration", "seconds": math.ceil(self.seconds)}} if "4o" not in self.model else {}
        if not self.verbose:
            return {"text": text, **used}
        about = {"task": "transcribe", "language": "english", "duration": self.seconds}
        segment = {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": self.seconds,
            "text": text,
            "tokens": [],
            "temperature": 0.0,
        }
        scores = {"avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}
        return {**about, "text": text, "segments": [segment | scores], **used}


def read_recording(headers: Mapping[str, str], body: bytes, models: Collection[str]) -> Recording:
    """Raises Refused."""
    media_type, options = parse_options_header(headers.get("content-type", ""))
    _, form, files = FormDataParser(lambda *_, **__: io.BytesIO()).parse(
        io.BytesIO(body), media_type, len(body), options
    )
    for name in form:
        if name not in known_fields():
            raise Refused(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    file = files.get("file")
    if file is None:
        raise Refused(400, "file is required", param="file")
    if not form.get("model"):
        raise Refused(400, "you must provide a model parameter", param="model")
    if form["model"] not in models:
        message = f"The model `{form['model']}` does not exist or you do not have access to it."
        raise Refused(404, message, code="model_not_found")
    if (wanted := form.get("response_format", "json")) not in FORMATS:
        raise Refused(400, f"response_format '{wanted}' is not supported here", param="response_format")
    if wanted == "verbose_json" and not form["model"].startswith(WHISPER):
        message = f"response_format 'verbose_json' is not compatible with model '{form['model']}'. Use 'json' or 'text' instead."
        raise Refused(400, message, param="response_format", code="unsupported_value")
    if (file.filename or "").rpartition(".")[2].lower() not in ENDINGS:
        raise Refused(400, f"file must be one of the following types: [{' '.join(ENDINGS)}]", param="file")
    content = file.read()
    if len(content) > LARGEST_FILE:
        raise Refused(413, f"Maximum content size limit ({LARGEST_FILE}) exceeded ({len(content)} bytes read)")
    seconds = seconds_of(content)
    if seconds < SHORTEST_SECONDS:
        raise Refused(400, "Audio file is too short. Minimum audio length is 0.1 seconds.", code="audio_too_short")
    return Recording(form["model"], content, seconds, wanted == "verbose_json")


@cache
def known_fields() -> frozenset[str]:
    from openai.types.audio.transcription_create_params import TranscriptionCreateParamsNonStreaming  # noqa: PLC0415

    names = (
        TranscriptionCreateParamsNonStreaming.__required_keys__
        | TranscriptionCreateParamsNonStreaming.__optional_keys__
    )
    return frozenset({*names, *(f"{name}[]" for name in names)})


def seconds_of(content: bytes) -> float:
    try:
        with wave.open(io.BytesIO(content)) as opened:
            return float(opened.getnframes() / opened.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError):
        return len(content) / BYTES_A_SECOND
