"""The baseline formula: computed from the request, bounded, and the same every time."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.private_server.baseline_forecast import Question, forecast, horizon_days

SWIM = Question(goal="Swim 2 km without a pause", timeframe="6 months", context="I swim once a week")


def prediction(question: Question) -> dict[str, Any]:
    found: Any = forecast(question)["prediction"]
    assert isinstance(found, dict)
    return found


def probability(question: Question) -> float:
    return float(prediction(question)["probability"])


@pytest.mark.parametrize(
    ("timeframe", "days"),
    [
        ("90 days", 90),
        ("6 months", 180),
        ("in two weeks", 14),
        ("a year", 365),
        ("next quarter", 91),
        ("1.5 years", 548),
        ("A Couple of Months", 60),
        ("6-month", 180),
        ("99999 decades", 36_500),
        ("0 days", None),
        ("soon", None),
        ("many years", None),
        ("", None),
    ],
)
def test_a_timeframe_is_read_as_days(timeframe: str, days: int | None) -> None:
    assert horizon_days(timeframe) == days


def test_the_same_question_gets_the_same_forecast() -> None:
    assert forecast(SWIM) == forecast(SWIM)


def test_it_says_that_it_is_a_baseline() -> None:
    answer = forecast(SWIM)
    assert (answer["kind"], answer["model"]) == ("baseline", "reference-baseline-1")
    assert answer["disclaimer"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (replace(SWIM, timeframe="2 years"), replace(SWIM, timeframe="2 weeks")),
        (SWIM, replace(SWIM, goal="Swim far without a pause")),
        (replace(SWIM, context="8 years experience"), replace(SWIM, context="2 years experience")),
        (replace(SWIM, context="I already have a coach"), replace(SWIM, context="I really want a boat")),
        (SWIM, replace(SWIM, goal="Maybe swim 2 km without a pause")),
        (SWIM, replace(SWIM, goal="Swim 2 km best in the world")),
    ],
    ids=["time", "measurable", "experience", "commitment", "hedging", "stretch"],
)
def test_each_signal_moves_the_probability(better: Question, worse: Question) -> None:
    assert probability(better) > probability(worse)


def test_more_confidence_makes_a_wider_interval() -> None:
    widths = []
    for level in ("low", "medium", "high"):
        found = prediction(replace(SWIM, confidence_level=level))
        widths.append(found["high"] - found["low"])
    assert widths[0] < widths[1] < widths[2]


def test_a_timeframe_that_is_not_understood_widens_the_interval() -> None:
    known, guessed = prediction(SWIM), prediction(replace(SWIM, timeframe="soon"))
    assert known["probability"] == guessed["probability"]
    assert guessed["high"] - guessed["low"] > known["high"] - known["low"]


def test_enhanced_grounding_explains_each_driver() -> None:
    plain, grounded = prediction(SWIM), prediction(replace(SWIM, enhanced_grounding=True))
    assert all(set(driver) == {"name", "effect"} for driver in plain["drivers"])
    assert all(driver["explanation"] for driver in grounded["drivers"])
    assert plain["probability"] == grounded["probability"]


@given(
    goal=st.text(min_size=1, max_size=5000),
    timeframe=st.text(max_size=100),
    context=st.text(max_size=1000),
    level=st.sampled_from(["low", "medium", "high"]),
)
def test_any_text_gets_a_probability_inside_its_interval(goal: str, timeframe: str, context: str, level: str) -> None:
    found = prediction(Question(goal, timeframe, context, confidence_level=level))
    assert 0 < found["low"] <= found["probability"] <= found["high"] < 1
    assert 1 <= found["horizon_days"] <= 36_500
