"""Texts that are spoken through the OpenAI SDK: what is said is as long as the text, and what is refused."""

import io
import wave
from typing import Any

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.sandbox.ai_provider import openai_sdk

MODELS = {"openai": ("tts-1", "alloy"), "groq": ("canopylabs/orpheus-v1-english", "troy")}


def speak(providers: AIServer, face: str, text: str, **body: Any) -> Any:
    model, voice = MODELS[face]
    speech: Any = openai_sdk(providers, face).audio.speech
    return speech.create(**{"model": model, "voice": voice, "input": text, **body})


def test_a_text_of_fifteen_letters_is_a_second_of_silence(providers: AIServer) -> None:
    spoken = speak(providers, "groq", "x" * 15, response_format="wav")
    with wave.open(io.BytesIO(spoken.content)) as opened:
        assert opened.getnframes() / opened.getframerate() == 1
    assert spoken.response.headers["content-type"] == "audio/wav"
    entry = providers.books.billed[0]
    assert (entry.characters, entry.model, entry.complete) == (15, "canopylabs/orpheus-v1-english", True)
    longer = speak(providers, "openai", "x" * 30).content
    assert len(longer) > len(speak(providers, "openai", "x" * 15).content)
    assert longer[:2] == b"\xff\xfb"


@pytest.mark.parametrize(
    ("face", "body", "status", "message"),
    [
        ("openai", {"input": ""}, 400, "must not be empty"),
        ("openai", {"input": "x" * 4_097}, 400, "too long"),
        ("groq", {"input": "x" * 201, "response_format": "wav"}, 400, "too long"),
        ("groq", {}, 400, "response_format"),
        ("openai", {"model": "gpt-6-luna"}, 404, "does not exist"),
        ("openai", {"response_format": "midi"}, 400, "Invalid value"),
        ("openai", {"voice": 3}, 400, "voice"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    providers: AIServer, face: str, body: dict[str, Any], status: int, message: str
) -> None:
    from openai import APIStatusError

    with pytest.raises(APIStatusError, match=message) as refused:
        speak(providers, face, "Hello", **body)
    assert refused.value.status_code == status
    assert providers.books.billed == []


def test_trouble_comes_in_the_middle_of_what_is_said(providers: AIServer) -> None:
    from openai import APIConnectionError

    providers.next.add(NextAnswer(cut_after_bytes=100))
    with pytest.raises(APIConnectionError):
        speak(providers, "openai", "Hello")
    assert [entry.complete for entry in providers.books.billed] == [False]


def test_google_does_not_speak(providers: AIServer) -> None:
    from openai import NotFoundError

    with pytest.raises(NotFoundError):
        openai_sdk(providers, "google").audio.speech.create(model="tts-1", voice="alloy", input="Hello")
