"""Which models hear and speak, by the settings."""

from datetime import date

import pytest

from capabilities.chat.settings import ChatSection
from config import SettingsInvalid, load_settings
from settings.check import remarks_on
from tests.whole.environment import production_environment

TODAY = date(2026, 11, 30)
OPENAI, GROQ, ANTHROPIC = ({f"{name}_API_KEY": f"{name.lower()}-1"} for name in ("OPENAI", "GROQ", "ANTHROPIC"))


def production(**environ: str) -> ChatSection:
    database = "postgresql://mirroros@127.0.0.1:1/mirroros"
    given = production_environment(database, "https://predict.example.com")
    own = {"CAPABILITIES": "chat", "OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}
    settings = load_settings({**given, **own, **environ})
    assert isinstance(settings, ChatSection)
    return settings


@pytest.mark.parametrize(
    ("environ", "listener", "speaker"),
    [
        ({**OPENAI, **GROQ}, "whisper-large-v3-turbo", "tts-1"),
        (OPENAI, "gpt-transcribe", "tts-1"),
        (GROQ, "whisper-large-v3-turbo", "canopylabs/orpheus-v1-english"),
        (ANTHROPIC, None, None),
        ({**OPENAI, "CHAT_TRANSCRIPTION_MODEL": "whisper-1"}, "whisper-1", "tts-1"),
        ({**OPENAI, "CHAT_TRANSCRIPTION_MODEL": "whisper-large-v3"}, None, "tts-1"),
    ],
)
def test_the_first_model_of_a_provider_with_a_key_is_used(
    environ: dict[str, str], listener: str | None, speaker: str | None
) -> None:
    settings = production(**environ)
    used = [settings.transcription_model(TODAY), settings.speech_model(TODAY)]
    assert [None if model is None else model.id for model in used] == [listener, speaker]


def test_a_model_that_does_not_hear_or_speak_is_refused() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        production(**OPENAI, CHAT_TRANSCRIPTION_MODEL="tts-1", CHAT_SPEECH_MODEL="gpt-6-luna")
    names = {problem.split()[0] for problem in refused.value.problems}
    assert names == {"CHAT_TRANSCRIPTION_MODEL", "CHAT_SPEECH_MODEL"}


def test_a_model_that_will_end_or_has_no_key_is_remarked() -> None:
    named = production(**OPENAI, CHAT_TRANSCRIPTION_MODEL="whisper-large-v3", CHAT_SPEECH_MODEL="tts-1")
    remarks = [remark for remark in remarks_on(named) if remark.startswith("CHAT_")]
    assert remarks == [
        "CHAT_TRANSCRIPTION_MODEL names whisper-large-v3, whose provider has no key, so it is not used",
        "CHAT_SPEECH_MODEL names tts-1, which will be shut down on 2027-01-06. Choose a newer model",
    ]
    assert [remark for remark in remarks_on(production(**OPENAI)) if remark.startswith("CHAT_")] == []
