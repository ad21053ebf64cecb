"""The list of models, compared with what the official package says of them."""

from datetime import date

from providers.catalogue import Model
from sandbox.ai_server.catalogue import openai_names, openai_shutdowns
from tests.providers.questions import CATALOGUE


def test_names_and_days_of_shutdown_are_those_of_the_official_package() -> None:
    ours = [model for model in CATALOGUE.models.values() if model.provider == "openai"]
    assert {model.id for model in ours} <= set(openai_names())
    for model in ours:
        assert model.shut_down == openai_shutdowns().get(model.id), model.id


def test_a_model_with_one_price_has_both() -> None:
    for model in CATALOGUE.models.values():
        assert (model.input_micros is None) == (model.output_micros is None)
        assert type(model.input_micros) in {int, type(None)}


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
