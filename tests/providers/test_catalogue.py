"""The list of models, compared with what the official package says of them."""

from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from providers.catalogue import PROVIDERS, Model, UnknownModel, read_catalogue
from sandbox.ai_server.catalogue import anthropic_models, openai_names, openai_shutdowns, shutdowns_in
from tests.providers.questions import CATALOGUE

TODAY = date(2026, 11, 30)


def test_names_and_days_of_shutdown_are_those_of_the_official_package() -> None:
    ours = [model for model in CATALOGUE.models.values() if model.provider == "openai"]
    assert {model.id for model in ours} <= set(openai_names())
    for model in ours:
        assert model.shut_down == openai_shutdowns().get(model.id), model.id


def test_models_that_hear_and_speak_are_those_of_the_official_package() -> None:
    from openai.types import audio_model
    from openai.types.audio import speech_model

    for ours, kind, module in (
        (CATALOGUE.listeners, audio_model.AudioModel, audio_model),
        (CATALOGUE.speakers, speech_model.SpeechModel, speech_model),
    ):
        shutdowns = shutdowns_in(module)
        for model in ours.values():
            if model.provider == "openai":
                assert model.id in get_args(kind)
                assert model.shut_down == shutdowns.get(model.id), model.id


def test_a_model_with_one_price_has_both() -> None:
    for model in CATALOGUE.models.values():
        assert (model.input_micros is None) == (model.output_micros is None)
        assert type(model.input_micros) in {int, type(None)}


@pytest.mark.slow
def test_names_of_claude_are_those_of_the_official_package() -> None:
    ours = {model.id for model in CATALOGUE.models.values() if model.provider == "anthropic"}
    assert ours <= set(anthropic_models())


def test_every_model_that_can_be_chosen_says_how_much_it_takes() -> None:
    for provider in PROVIDERS:
        for model in CATALOGUE.of(provider, TODAY):
            assert model.context is not None, model.id
            assert model.longest_reply is not None, model.id


def test_cost_is_rounded_up() -> None:
    model = Model("openai", "any", pictures=True, input_micros=100_000, output_micros=500_000)
    assert [model.cost_micros(*tokens) for tokens in ((0, 0), (1, 0), (10, 0), (11, 0), (0, 2), (9, 1))] == [
        0,
        1,
        1,
        2,
        1,
        2,
    ]


def test_a_model_is_shut_down_from_its_day_on() -> None:
    model = CATALOGUE.find("openai", "gpt-4-vision-preview")
    assert model is not None
    assert [model.is_shut_down(date(2024, 12, day)) for day in (5, 6, 7)] == [False, True, True]


def test_a_model_that_is_not_listed_is_taken_at_its_word() -> None:
    assert CATALOGUE.find("openai", "gpt-next") is None
    model = CATALOGUE.named("openai", "gpt-next")
    assert (model.pictures, model.listed, model.cost_micros(1000, 1000)) == (True, False, 0)


def test_what_a_provider_had_in_its_cache_has_its_own_price() -> None:
    model = Model("openai", "any", pictures=True, input_micros=100, output_micros=500, cached_input_micros=10)
    assert model.cost_micros(3_000_000, 0, 2_000_000) == 100 + 20
    assert model.cost_micros(1_000_000, 0, 2_000_000) == 10
    without = Model("openai", "any", pictures=True, input_micros=100, output_micros=500)
    assert without.cost_micros(3_000_000, 0, 2_000_000) == 300


FILE = """
[aliases]
fast = ["b", "old", "a"]
gone = ["old"]
[openai.a]
pictures = true
[anthropic."b"]
pictures = false
lowest_tier = "pro"
refuses = ["temperature"]
[groq."x/old"]
pictures = false
[openai.old]
pictures = false
shut_down = 2026-11-30
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "models.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_name_stands_for_the_models_that_can_be_used_in_their_order(tmp_path: Path) -> None:
    catalogue = read_catalogue(written(tmp_path, FILE))

    def resolved(name: str, *providers: str) -> list[str]:
        return [model.id for model in catalogue.resolve(name, providers, TODAY)]

    assert resolved("fast", "openai", "anthropic") == ["b", "a"]
    assert (resolved("fast", "openai"), resolved("fast", "groq")) == (["a"], [])
    assert (resolved("x/old", "groq"), resolved("x/old")) == (["x/old"], [])
    for unknown in ("old", "gone", "gpt-next", ""):
        with pytest.raises(UnknownModel):
            catalogue.resolve(unknown, PROVIDERS, TODAY)
    assert catalogue.resolve("old", PROVIDERS, date(2026, 11, 29))
    assert (catalogue.models["b"].lowest_tier, catalogue.models["a"].lowest_tier) == ("pro", "free")
    assert catalogue.find("openai", "b") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "is not TOML"),
        ("[mistral.a]\npictures = true", "names a provider that there is not: mistral"),
        ("openai = 3", "has no table for openai"),
        ("[openai]\na = 3", "has no table for a"),
        ("aliases = 3", "has no table for aliases"),
        ("[openai.a]", "does not say whether a reads pictures"),
        ("[openai.a]\npictures = 1", "has a wrong value of a: pictures"),
        ("[openai.a]\npictures = true\ncontext = -1", "has a wrong value of a: context"),
        ("[openai.a]\npictures = true\ncolour = 1", "has an unknown member of a: colour"),
        ("[openai.a]\npictures = true\ninput_micros = 1", "has only one price of a"),
        ('[openai.a]\npictures = true\nlowest_tier = "gold"', "names a plan for a that there is not: gold"),
        ("[openai.a]\npictures = true\n[groq.a]\npictures = true", "lists a twice"),
        ('[aliases]\nfast = ["a"]', "names a model for the alias fast that it does not list: a"),
        ("[aliases]\nfast = []", "must have a list of models for the alias fast"),
        ('[aliases]\na = ["a"]\n[openai.a]\npictures = true', "must have a list of models for the alias a"),
        ("[aliases]\nfast = [[]]", "must have a list of models for the alias fast"),
        ("[openai.a]\npictures = true\nrefuses = [1]", "has a wrong value of a: refuses"),
        ("[listeners.anthropic.a]", "names a provider that there is not: anthropic"),
        ("listeners = 3", "has no table for listeners"),
        ('[listeners.groq.a]\nresponse_format = "srt"', "has a wrong value of a: response_format"),
        ("[listeners.groq.a]\nhour_micros = -1", "has a wrong value of a: hour_micros"),
        ("[listeners.groq.a]\n[listeners.openai.a]", "lists a twice"),
        ("[speakers.openai.a]", "does not say the voice of a"),
        ('[speakers.openai.a]\nvoice = "b"\nlongest_input = 0', "does not say the voice of a"),
        ('[speakers.openai.a]\nvoice = "b"\nlongest_input = 9\nformat = "pcm"', "has a wrong value of a: format"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        read_catalogue(written(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_catalogue(tmp_path / "none.toml")
    file = tmp_path / "models.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="is not TOML"):
        read_catalogue(file)
