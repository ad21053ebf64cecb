"""Recordings and spoken texts, against the stand-in and the official package: answers, and every trouble that can come of them."""

import io
import wave
from typing import Any
from uuid import uuid4

import openai
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from providers.audio import LARGEST_SPEECH, Recording, Speech, Transcript, read_speech, read_transcript
from providers.audio_models import Listener, Speaker, first_usable
from providers.bodies import ProviderStatus
from providers.http_client import HttpClient, Reply
from providers.http_provider import HttpProvider
from providers.mock_provider import MockProvider
from providers.problems import (
    NothingHeard,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimedOut,
    RecordingRefused,
)
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.metric_values import rising
from tests.providers.conftest import face_of
from tests.providers.questions import CATALOGUE, provider_at
from tests.providers.raw_provider import always, reply, serving
from tests.providers.test_catalogue import TODAY
from tests.sandbox.ai_provider import openai_sdk

LISTENERS = [CATALOGUE.listeners[name] for name in ("gpt-transcribe", "whisper-1", "whisper-large-v3-turbo")]
GPT, WHISPER, TURBO = LISTENERS
TTS, ORPHEUS = CATALOGUE.speakers["tts-1"], CATALOGUE.speakers["canopylabs/orpheus-v1-english"]


def recorded(seconds: float = 1.5, language: str | None = None) -> Recording:
    content = io.BytesIO()
    with wave.open(content, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(8_000)
        opened.writeframes(bytes(round(seconds * 8_000) * 2))
    return Recording(content.getvalue(), "wav", seconds, language)


def hear(
    provider: HttpProvider, model: Listener = GPT, recording: Recording | None = None, seconds: float = 10
) -> Transcript:
    heard = provider.transcribe(model, recording or recorded(), deadline_seconds=seconds, request_id=uuid4())
    return provider.http.loop.start(heard).result(30)


def say(provider: HttpProvider, text: str, model: Speaker = TTS, seconds: float = 10) -> Speech:
    spoken = provider.speak(model, text, deadline_seconds=seconds, request_id=uuid4())
    return provider.http.loop.start(spoken).result(30)


@pytest.mark.parametrize("model", LISTENERS, ids=lambda model: str(model.id))
def test_our_transcript_is_that_of_the_official_sdk(ai_server: AIServer, http: HttpClient, model: Listener) -> None:
    provider = face_of(ai_server, model.provider, http)
    ours = hear(provider, model, recorded(1.5, "de"))
    transcriptions: Any = openai_sdk(ai_server, model.provider).audio.transcriptions
    file = ("recording.wav", recorded().audio, "audio/wav")
    theirs = transcriptions.create(model=model.id, file=file, language="de", response_format=model.response_format)
    mine, sdks = ai_server.books.as_json()
    for member in ("method", "path", "key", "model", "audio_seconds", "answer_sha256", "status", "billed"):
        assert mine[member] == sdks[member], member
    assert ours.text == theirs.text
    assert ours.seconds == (1.5 if model.response_format == "verbose_json" else 2)  # rounded up in `usage`
    assert ours.cost_micros == model.cost_micros(ours.seconds) > 0


@pytest.mark.parametrize(("face", "model"), [("openai", TTS), ("groq", ORPHEUS)])
def test_what_we_have_spoken_is_what_the_official_sdk_gets(
    ai_server: AIServer, http: HttpClient, face: str, model: Speaker
) -> None:
    provider = face_of(ai_server, face, http)
    text = "Grüße! " * 4
    ours = say(provider, text, model)
    theirs = openai_sdk(ai_server, face).audio.speech.create(
        model=model.id, voice=model.voice, input=text, response_format=model.format  # type: ignore[arg-type]
    )
    mine, sdks = ai_server.books.as_json()
    for member in ("method", "path", "key", "model", "characters", "text_sha256", "answer_sha256", "status", "billed"):
        assert mine[member] == sdks[member], member
    assert (ours.audio, ours.format) == (theirs.content, model.format)
    assert ours.cost_micros == model.cost_micros(mine["characters"])
    assert TTS.cost_micros(1_000) == 15_000


def test_the_bytes_we_send_are_those_of_the_official_sdk(http: HttpClient) -> None:
    with serving(always(reply(b'{"text": "Hello"}', head="Content-Type: application/json\r\n"))) as raw:
        provider = provider_at(raw.url, "key-1", http)
        hear(provider, WHISPER, recorded(language="en"))
        say(provider, "Hello")
        with openai.OpenAI(api_key="key-1", base_url=raw.url, max_retries=0) as official:
            file = ("recording.wav", recorded().audio, "audio/wav")
            official.audio.transcriptions.create(
                model="whisper-1", file=file, language="en", response_format="verbose_json"
            )
            official.audio.speech.create(model="tts-1", voice="alloy", input="Hello", response_format="mp3")
    heard, spoken, theirs_heard, theirs_spoken = raw.requests
    assert form_of(heard) == form_of(theirs_heard)
    assert orjson.loads(spoken.partition(b"\r\n\r\n")[2]) == orjson.loads(theirs_spoken.partition(b"\r\n\r\n")[2])
    for ours, theirs in ((heard, theirs_heard), (spoken, theirs_spoken)):
        for line in (ours.partition(b"\r\n")[0].lower(), b"authorization: bearer key-1"):
            assert line in theirs.lower().split(b"\r\n")
            assert line in ours.lower().split(b"\r\n")


def form_of(request: bytes) -> Any:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    written = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-type: "))
    media_type, options = parse_options_header(written.decode().partition(": ")[2])
    assert b"transfer-encoding" not in lines
    _, form, files = FormDataParser(lambda *_, **__: io.BytesIO()).parse(
        io.BytesIO(body), media_type, len(body), options
    )
    file = files["file"]
    return sorted(form.items(multi=True)), (file.filename, file.mimetype, file.read())


@pytest.mark.parametrize(
    ("trouble", "failed", "reason"),
    [
        ({"status": 400}, RecordingRefused, "status_400"),
        ({"status": 401}, ProviderMisconfigured, "status_401"),
        ({"status": 404}, ProviderMisconfigured, "model_not_found"),
        ({"status": 413}, ProviderFailed, "status_413"),
        ({"status": 429, "retry_after": 9}, ProviderBusy, "status_429"),
        ({"status": 500}, ProviderBroke, "status_500"),
        ({"redirect_to": "/openai/v1/audio/transcriptions"}, ProviderFailed, "status_307"),
        ({"reset": True}, ProviderBroke, "connection_lost"),
        ({"cut_after_bytes": 10}, ProviderBroke, "connection_lost"),
        ({"body": "<html>busy</html>"}, ProviderFailed, "reply_malformed"),
        ({"text": " \n"}, NothingHeard, "nothing_heard"),
    ],
)
def test_every_trouble_with_a_recording_is_one_call_and_told_in_our_words(
    ai_server: AIServer, provider: HttpProvider, trouble: dict[str, Any], failed: type[ProviderFailed], reason: str
) -> None:
    ai_server.next.add(NextAnswer(**trouble))
    metric = f'provider="openai",model="gpt-transcribe",outcome="{failed.error}"'
    with rising(mirroros_provider_duration_seconds_count={metric: 1}), pytest.raises(ProviderFailed) as raised:
        hear(provider)
    assert (type(raised.value), raised.value.reason, raised.value.sent) == (failed, reason, 1)
    assert len(list(ai_server.books.as_json())) == 1
    loud = failed is ProviderMisconfigured
    assert (provider.health.read().status is ProviderStatus.MISCONFIGURED) is loud


@pytest.mark.parametrize(
    ("trouble", "failed", "reason"),
    [
        ({"status": 400}, ProviderFailed, "status_400"),
        ({"status": 503}, ProviderBroke, "status_503"),
        ({"cut_after_bytes": 10}, ProviderBroke, "connection_lost"),
        ({"body": ""}, ProviderFailed, "reply_empty"),
        ({"huge_bytes": LARGEST_SPEECH + 1}, ProviderFailed, "reply_too_large"),
    ],
)
def test_every_trouble_with_a_spoken_text(
    ai_server: AIServer, provider: HttpProvider, trouble: dict[str, Any], failed: type[ProviderFailed], reason: str
) -> None:
    ai_server.next.add(NextAnswer(**trouble))
    with pytest.raises(ProviderFailed) as raised:
        say(provider, "Hello")
    assert (type(raised.value), raised.value.reason) == (failed, reason)


def test_what_timed_out_may_cost_as_much_as_was_measured(ai_server: AIServer, provider: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(hold=True), times=2)
    try:
        with pytest.raises(ProviderTimedOut) as heard:
            hear(provider, seconds=0.1)
        with pytest.raises(ProviderTimedOut) as spoken:
            say(provider, "Hello", seconds=0.1)
    finally:
        ai_server.next.release()
    assert heard.value.cost_micros == GPT.cost_micros(1.5)
    assert spoken.value.cost_micros == TTS.cost_micros(5)


def test_an_hour_costs_what_the_catalogue_says_and_little_is_billed_as_its_least() -> None:
    assert (TURBO.cost_micros(3_600), TURBO.cost_micros(1), TURBO.cost_micros(10)) == (40_000, 112, 112)
    assert (GPT.cost_micros(60), Listener("openai", "any").cost_micros(60)) == (4_500, 0)


def test_the_first_model_of_a_provider_that_is_set_up_is_taken() -> None:
    listeners, speakers = CATALOGUE.listeners.values(), CATALOGUE.speakers.values()
    assert first_usable(listeners, None, ["openai", "groq"], TODAY) is TURBO
    assert first_usable(listeners, None, ["openai"], TODAY) is GPT
    assert first_usable(listeners, "whisper-1", ["openai"], TODAY) is WHISPER
    assert first_usable(listeners, "whisper-1", ["groq"], TODAY) is None
    assert first_usable(listeners, None, ["anthropic"], TODAY) is None
    assert first_usable(speakers, None, ["openai", "groq"], TODAY) is TTS
    assert first_usable(speakers, None, ["openai", "groq"], TTS.shut_down or TODAY) is ORPHEUS


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ODD_ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "text": ANY_JSON | st.just("Hello"),
        "duration": ANY_JSON | st.floats(0, 100),
        "usage": ANY_JSON | st.fixed_dictionaries({"seconds": ANY_JSON | st.floats(0, 100)}),
    },
)


@settings(max_examples=60)
@given(document=ODD_ANSWERS | ANY_JSON)
def test_no_answer_is_more_than_a_transcript_or_a_failure(document: object) -> None:
    try:
        read = read_transcript(Reply(200, None, orjson.dumps(document)), GPT, recorded())
    except ProviderFailed:
        return
    assert read.text
    assert 0 < read.seconds <= 24 * 3600


def test_the_seconds_of_an_answer_that_cannot_be_are_those_that_were_measured() -> None:
    for told in ({}, {"duration": "9"}, {"duration": -1}, {"duration": True}, {"usage": {"type": "tokens"}}):
        body = orjson.dumps({"text": "Hello", **told})
        assert read_transcript(Reply(200, None, body), GPT, recorded()).seconds == 1.5
    with pytest.raises(ProviderFailed):
        read_speech(Reply(200, None, b""), TTS, "Hello")


def test_the_mock_hears_and_speaks_without_a_provider(http: HttpClient) -> None:
    mock, request_id = MockProvider("openai"), uuid4()
    heard = http.loop.start(mock.transcribe(GPT, recorded(), deadline_seconds=1, request_id=request_id)).result(5)
    spoken = http.loop.start(mock.speak(TTS, "Hello", deadline_seconds=1, request_id=request_id)).result(5)
    assert (heard.seconds, heard.cost_micros, heard.mock) == (1.5, 0, True)
    assert (spoken.audio[:4], spoken.format, spoken.mock) == (b"RIFF", "wav", True)
