"""The settings of chat, read as a process reads them."""

import pytest

from capabilities.chat.settings import ChatSection
from config import SettingsInvalid, load_settings
from tests.whole.environment import production_environment


def production(**changes: str) -> ChatSection:
    environ = production_environment("postgresql://mirroros@127.0.0.1:1/mirroros", "https://predict.example.com")
    settings = load_settings({**environ, "CAPABILITIES": "chat", **changes})
    assert isinstance(settings, ChatSection)
    return settings


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"OPENAI_API_KEY": ""}, "OPENAI_API_KEY or the key of another AI provider must be set"),
        ({"CHAT_DEFAULT_MODEL": "gpt-none"}, "CHAT_DEFAULT_MODEL must name a model or an alias"),
        (
            {"CHAT_DEFAULT_MODEL": "claude-haiku-5-5"},
            "CHAT_DEFAULT_MODEL names no model of a provider whose key is set",
        ),
        ({"CHAT_MAX_STREAMS": "64", "WEB_THREADS": "64"}, "CHAT_MAX_STREAMS must be below WEB_THREADS"),
        ({"CHAT_MAX_STREAMS": "0"}, "CHAT_MAX_STREAMS "),
        ({"CHAT_IDLE_TIMEOUT_S": "0"}, "CHAT_IDLE_TIMEOUT_S "),
        ({"CHAT_REPLY_TIMEOUT_S": "1"}, "CHAT_REPLY_TIMEOUT_S "),
        ({"CHAT_DRAIN_S": "-1"}, "CHAT_DRAIN_S "),
        ({"CHAT_MAX_REPLIES": "0"}, "CHAT_MAX_REPLIES "),
        ({"CHAT_STREAM_TTL_S": "0"}, "CHAT_STREAM_TTL_S "),
        ({"CHAT_RETENTION_DAYS": "-1"}, "CHAT_RETENTION_DAYS "),
    ],
)
def test_what_production_refuses(changes: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        production(**changes)
    (told,) = refused.value.problems
    assert told.startswith(problem)


def test_any_one_provider_is_enough() -> None:
    settings = production(OPENAI_API_KEY="", GROQ_API_KEY="gsk_" + "a1B2" * 10)
    assert settings.providers_set_up == ["groq"]


def test_what_stands_without_another_word() -> None:
    settings = production()
    assert (settings.chat_default_model, settings.chat_idle_timeout_s, settings.chat_reply_timeout_s) == (
        "fast",
        60,
        300,
    )
    assert (settings.chat_drain_s, settings.chat_max_replies, settings.chat_max_streams) == (30, 300, 300)
    assert (settings.chat_stream_ttl_s, settings.chat_retention_days) == (600, 0)


def test_readers_have_threads_beside_those_of_everything_else() -> None:
    assert production().web_threads == 600 + 300
    assert production(CHAT_MAX_STREAMS="50").web_threads == 600 + 50
    assert production(WEB_THREADS="64").chat_max_streams == 32
