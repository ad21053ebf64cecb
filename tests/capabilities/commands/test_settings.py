"""The settings of help with commands, read as a process reads them."""

import pytest

from capabilities.commands.settings import CommandsSection
from config import SettingsInvalid, load_settings
from tests.whole.environment import production_environment


def production(**changes: str) -> CommandsSection:
    environ = production_environment("postgresql://mirroros@127.0.0.1:1/mirroros", "https://predict.example.com")
    settings = load_settings({**environ, "CAPABILITIES": "commands", **changes})
    assert isinstance(settings, CommandsSection)
    return settings


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"OPENROUTER_BASE_URL": "openrouter.ai"}, "OPENROUTER_BASE_URL must be a URL"),
        ({"OPENROUTER_BASE_URL": "http://openrouter.ai/api/v1"}, "OPENROUTER_BASE_URL must begin with https://"),
        ({"OPENROUTER_BASE_URL": "https://k@openrouter.ai/api/v1"}, "OPENROUTER_BASE_URL must have only a scheme"),
        ({"OPENROUTER_DEFAULT_MODEL": "a b"}, "OPENROUTER_DEFAULT_MODEL must be a model's name"),
        ({"OPENROUTER_TIMEOUT_S": "0"}, "OPENROUTER_TIMEOUT_S "),
        ({"OPENROUTER_TIMEOUT_S": "301"}, "OPENROUTER_TIMEOUT_S "),
    ],
)
def test_what_production_refuses(changes: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        production(**changes)
    (told,) = refused.value.problems
    assert told.startswith(problem)


def test_what_stands_without_another_word() -> None:
    settings = production(OPENROUTER_BASE_URL="")
    assert settings.openrouter_base_url == "https://openrouter.ai/api/v1"
    assert (settings.openrouter_default_model, settings.openrouter_timeout_s) == ("openrouter/auto", 30)
    assert (settings.most_in_flight, settings.web_threads) == (64, 664)


def test_other_requests_find_a_thread_however_few_there_are() -> None:
    assert [production(WEB_THREADS=str(each)).most_in_flight for each in (4, 40, 4096)] == [1, 10, 64]


def test_it_may_stand_on_a_private_network() -> None:
    assert production(OPENROUTER_BASE_URL="http://openrouter.internal:80/v1/").openrouter_base_url.endswith("/v1")
