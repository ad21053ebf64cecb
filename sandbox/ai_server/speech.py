"""Texts that are spoken, as OpenAI and Groq do it. What is said is silence, as long as the text takes."""

import io
import wave
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sandbox.ai_server.parameters import check_parameters
from sandbox.ai_server.refusals import Refused

PATH = "/audio/speech"
MEDIA_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}
CHARACTERS_A_SECOND = 15
WAV_RATE = 8_000
MP3_FRAME = b"\xff\xfb\x90\xc4" + bytes(413)
"""MPEG-1 layer III, 128 kbit/s at 44.1 kHz, with nothing in it."""
MP3_FRAMES_A_SECOND = 44_100 / 1_152


@dataclass(frozen=True)
class Speakers:
    """Of one face: its models, the formats that are made here, and the most characters of a text."""

    models: Collection[str] = ()
    formats: Collection[str] = ()
    longest_input: int = 0


@dataclass(frozen=True)
class Speech:
    model: str
    text: str
    format: str

    def spoken(self, least_bytes: int = 0) -> bytes:
        seconds = max(0.1, len(self.text) / CHARACTERS_A_SECOND)
        if self.format == "mp3":
            frames = max(round(seconds * MP3_FRAMES_A_SECOND), -(-least_bytes // len(MP3_FRAME)))
            return MP3_FRAME * frames
        content = io.BytesIO()
        with wave.open(content, "wb") as opened:
            opened.setnchannels(1)
            opened.setsampwidth(2)
            opened.setframerate(WAV_RATE)
            opened.writeframes(bytes(max(round(seconds * WAV_RATE) * 2, least_bytes)))
        return content.getvalue()


def read_speech(body: Any, speakers: Speakers) -> Speech:
    """Raises WrongParameter and Refused."""
    from openai.types.audio.speech_create_params import SpeechCreateParams  # noqa: PLC0415 - slow

    check_parameters(body, SpeechCreateParams)
    if body["model"] not in speakers.models:
        message = f"The model `{body['model']}` does not exist or you do not have access to it."
        raise Refused(404, message, code="model_not_found")
    wanted = body.get("response_format", "mp3")
    if wanted not in speakers.formats:
        listed = ", ".join(speakers.formats)
        raise Refused(400, f"response_format must be one of [{listed}] here", param="response_format")
    if not body["input"]:
        raise Refused(400, "Input text must not be empty", param="input")
    if len(body["input"]) > speakers.longest_input:
        message = f"Invalid 'input': string too long. Expected a string with maximum length {speakers.longest_input}."
        raise Refused(400, message, param="input", code="string_above_max_length")
    return Speech(body["model"], body["input"], wanted)
