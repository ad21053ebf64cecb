"""Recordings through the OpenAI SDK: what is heard follows from the bytes, and what is refused."""

import io
import wave
from typing import Any

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.sandbox.ai_provider import openai_sdk

MODELS = {"openai": "whisper-1", "groq": "whisper-large-v3-turbo"}


def recording(seconds: float = 1.5) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(8_000)
        opened.writeframes(bytes(int(seconds * 8_000) * 2))
    return content.getvalue()


def transcribe(providers: AIServer, face: str, content: bytes, name: str = "said.wav", **body: Any) -> Any:
    transcriptions: Any = openai_sdk(providers, face).audio.transcriptions
    return transcriptions.create(**{"model": MODELS[face], "file": (name, content), **body})


@pytest.mark.parametrize("face", MODELS)
def test_what_is_heard_follows_from_the_bytes(providers: AIServer, face: str) -> None:
    first, again, other = (transcribe(providers, face, recording(each)).text for each in (1.5, 1.5, 1.0))
    assert first == again != other
    entry = providers.books.billed[0]
    assert (entry.audio_seconds, entry.model, entry.complete) == (1.5, MODELS[face], True)
    assert entry.answer_bytes == len(first.encode())


def test_the_long_form_has_the_duration(providers: AIServer) -> None:
    providers.next.add(NextAnswer(text="Hello"))
    heard = transcribe(providers, "groq", bytes(32_000), "said.webm", response_format="verbose_json")
    assert (heard.text, heard.duration, heard.segments[0].end) == ("Hello", 2.0, 2.0)


def test_what_is_billed_by_its_length_tells_it_in_the_short_form_as_well(providers: AIServer) -> None:
    heard = transcribe(providers, "openai", recording(1.5), model="gpt-transcribe", response_format="json")
    assert (heard.usage.type, heard.usage.seconds) == ("duration", 2)
    assert transcribe(providers, "openai", recording(1.5), model="gpt-4o-transcribe").usage is None


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"content": b""}, 400, "too short"),
        ({"content": recording(0.05)}, 400, "too short"),
        ({"content": recording(), "name": "said.oga"}, 400, "file must be one of"),
        pytest.param({"content": bytes(25 * 1024 * 1024 + 1)}, 413, "Maximum content size", marks=pytest.mark.slow),
        ({"content": recording(), "model": "gpt-6-luna"}, 404, "does not exist"),
        ({"content": recording(), "response_format": "srt"}, 400, "response_format"),
        (
            {"content": recording(), "model": "gpt-transcribe", "response_format": "verbose_json"},
            400,
            "not compatible with model",
        ),
        ({"content": recording(), "extra_body": {"speed": 2}}, 400, "Unknown parameter"),
    ],
)
def test_what_is_no_recording_is_refused(providers: AIServer, body: dict[str, Any], status: int, message: str) -> None:
    from openai import APIStatusError

    with pytest.raises(APIStatusError, match=message) as refused:
        transcribe(providers, "openai", **body)
    assert refused.value.status_code == status
    assert providers.books.billed == []


def test_google_does_not_listen(providers: AIServer) -> None:
    from openai import NotFoundError

    transcriptions = openai_sdk(providers, "google").audio.transcriptions
    with pytest.raises(NotFoundError):
        transcriptions.create(model="whisper-1", file=("said.wav", recording()))
