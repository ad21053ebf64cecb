"""The settings of OpenAI, read as a process reads them."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from auth.tiers import Tier
from config import SettingsInvalid, load_settings
from metering.capability import Capability
from metering.parts import Shared
from providers.assembly import providers_of
from providers.settings import ProvidersSection, key_complaints, model_remarks, picture_complaints
from settings.check import remarks_on, warnings_on
from settings.redact import Redactor
from settings.section import Complaint
from tests.providers.questions import model_named
from tests.whole.environment import production_environment

KEY = "sk-proj-" + "a1B2" * 10


def nothing(*_: object) -> object:
    raise AssertionError("no test builds it")


class AskSection(ProvidersSection):
    def contradictions(self) -> Iterator[Complaint]:
        yield from key_complaints(self)


ASKS = Capability("ask", "Asks", {}, {tier: {} for tier in Tier}, nothing, settings=AskSection)  # type: ignore[arg-type]


def development(**changes: str) -> ProvidersSection:
    settings = load_settings({"CAPABILITIES": "ask", **changes}, capabilities=(ASKS,))
    assert isinstance(settings, ProvidersSection)
    return settings


def production(**changes: str) -> ProvidersSection:
    environ = production_environment("postgresql://mirroros@127.0.0.1:1/mirroros", "https://predict.example.com")
    own = {"CAPABILITIES": "ask", "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": ""}
    return development(**{**environ, **own, **changes})


def refusal(**changes: str) -> str:
    with pytest.raises(SettingsInvalid) as refused:
        production(**changes)
    (problem,) = refused.value.problems
    return problem


@pytest.mark.parametrize(
    ("changes", "mock"),
    [
        ({}, True),
        ({"OPENAI_API_KEY": "sk-..."}, True),
        ({"OPENAI_API_KEY": KEY}, False),
        ({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, False),
        ({"OPENAI_API_KEY": KEY, "USE_MOCK_OPENAI": "True"}, True),
    ],
)
def test_the_mock_is_on_in_development_without_key_and_address(changes: dict[str, str], mock: bool) -> None:
    assert development(**changes).use_mock_openai is mock


def test_what_stands_in_production_without_another_word() -> None:
    settings = production()
    assert settings.use_mock_openai is False
    assert (settings.openai_model, settings.openai_timeout_s) == ("gpt-6-luna", 30)
    assert settings.openai_base_url == "https://api.openai.com/v1"
    assert not [remark for remark in remarks_on(settings) if "OPENAI" in remark]
    assert Redactor.of(settings)(f"it is {KEY}!") == "it is ***!"
    assert KEY not in repr(settings)


@pytest.mark.parametrize("key", ["sk-...", "sk-…", "<your key>", "your-api-key", "sk-xxxxxxxx"])
def test_a_placeholder_is_no_key(key: str) -> None:
    assert refusal(OPENAI_API_KEY=key).startswith("OPENAI_API_KEY ")
    with pytest.raises(SettingsInvalid, match="OPENAI_API_KEY"):
        development(OPENAI_API_KEY=key, USE_MOCK_OPENAI="false")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"OPENAI_API_KEY": ""}, "OPENAI_API_KEY must be set"),
        ({"OPENAI_API_KEY": "two words"}, "OPENAI_API_KEY must be the key"),
        ({"USE_MOCK_OPENAI": "true"}, "USE_MOCK_OPENAI must be off"),
        ({"OPENAI_BASE_URL": "http://api.openai.com/v1"}, "OPENAI_BASE_URL must begin with https"),
        ({"OPENAI_BASE_URL": "http://169.254.169.254/v1"}, "OPENAI_BASE_URL must begin with https"),
        ({"OPENAI_BASE_URL": "https://key@example.com/v1"}, "OPENAI_BASE_URL must have only"),
        ({"OPENAI_BASE_URL": "ftp://example.com"}, "OPENAI_BASE_URL must be a URL"),
        ({"OPENAI_TIMEOUT_S": "0"}, "OPENAI_TIMEOUT_S "),
        ({"OPENAI_MODEL": "gpt 4"}, "OPENAI_MODEL must be a model's name"),
        ({"ANTHROPIC_API_KEY": "sk-ant-..."}, "ANTHROPIC_API_KEY is a placeholder"),
        ({"GROQ_API_KEY": "two words"}, "GROQ_API_KEY must be the key"),
        ({"GOOGLE_BASE_URL": "http://generativelanguage.googleapis.com"}, "GOOGLE_BASE_URL must begin with https"),
        ({"MODEL_CATALOGUE": "/nowhere/models.toml"}, "MODEL_CATALOGUE cannot be read"),
    ],
)
def test_what_production_refuses(changes: dict[str, str], problem: str) -> None:
    assert refusal(**changes).startswith(problem)


@pytest.mark.parametrize("url", ["http://ai.internal:9000/v1", "http://127.0.0.1:9000", "http://10.0.0.7/v1"])
def test_a_private_network_needs_no_tls(url: str) -> None:
    assert production(OPENAI_BASE_URL=url).openai_base_url == url


def test_a_model_that_was_shut_down_is_remarked() -> None:
    (remark,) = [each for each in remarks_on(production(OPENAI_MODEL="gpt-4-vision-preview")) if "OPENAI" in each]
    assert remark == "OPENAI_MODEL names gpt-4-vision-preview, which was shut down on 2024-12-06. Choose a newer model"
    assert warnings_on(production(OPENAI_MODEL="gpt-4-vision-preview")) == [remark]
    assert warnings_on(production()) == []
    (soon,) = model_remarks("OPENAI_MODEL", model_named("openai", "gpt-4o"), date(2026, 11, 30))
    assert "will be shut down on 2027-01-14" in soon


def test_a_model_that_is_not_listed_is_remarked_at_openai_alone() -> None:
    (remark,) = [each for each in remarks_on(production(OPENAI_MODEL="gpt-next")) if "OPENAI" in each]
    assert remark.startswith("OPENAI_MODEL is not in the catalogue of models")
    elsewhere = production(OPENAI_MODEL="llama", OPENAI_BASE_URL="http://ai.internal/v1")
    assert not [each for each in remarks_on(elsewhere) if "OPENAI" in each]


def test_a_model_of_text_alone_is_refused_where_pictures_are_sent() -> None:
    assert list(picture_complaints("OPENAI_MODEL", model_named("openai", "o3-mini"))) == [
        ("OPENAI_MODEL", "names o3-mini, which does not read pictures")
    ]
    assert not list(picture_complaints("OPENAI_MODEL", model_named("openai", "gpt-next")))


def test_a_provider_is_set_up_by_its_key() -> None:
    assert development().providers_set_up == ["openai"]
    keys = {
        "OPENAI_API_KEY": KEY,
        "GROQ_API_KEY": "gsk_1",
        "ANTHROPIC_API_KEY": "sk-ant-...",
        "GOOGLE_API_KEY": "AIza1",
    }
    settings = development(**keys)
    assert settings.providers_set_up == ["openai", "google", "groq"]
    assert (settings.key_of("groq"), settings.key_of("anthropic")) == ("gsk_1", None)
    assert settings.address_of("google") == "https://generativelanguage.googleapis.com/v1beta/openai"
    assert "gsk_1" not in repr(settings)


def test_a_catalogue_of_ones_own_replaces_the_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('[aliases]\nfast = ["mine"]\n[openai.mine]\npictures = true\n', encoding="utf-8")
    settings = production(MODEL_CATALOGUE=str(file))
    assert list(settings.catalogue.models) == ["mine"]
    assert settings.openai_default_model.listed is False


def test_providers_are_made_once_for_all_capabilities() -> None:
    shared, settings = Shared(), development(ANTHROPIC_API_KEY="sk-ant-1")
    providers = shared(providers_of, settings)
    assert shared(providers_of, settings) is providers
    assert list(providers.by_name) == ["openai", "anthropic"]
    assert [check.name for check in providers.checks] == ["AI provider OpenAI", "AI provider Anthropic"]
    model = settings.catalogue.models["claude-sonnet-5-5"]
    assert (providers.of(model).name, providers.of(model).mock) == ("anthropic", False)
    with pytest.raises(KeyError):
        providers.of(settings.catalogue.models["openai/gpt-oss-120b"])
