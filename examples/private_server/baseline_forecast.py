"""A baseline forecast: a logistic formula over a few signals that can be read from the request's text.

    log-odds    = INTERCEPT + the sum of the drivers' effects
    probability = 1 / (1 + e^-log-odds), kept between 0.02 and 0.98
    low, high   = the same formula at log-odds -/+ z(confidence_level) * spread

The weights were set by hand, not fitted to outcomes: this is a yardstick for a real model, no advice.
Keywords are English. The same request always gets the same answer.
"""

import math
import re
from dataclasses import dataclass

MODEL = "reference-baseline-1"
DISCLAIMER = "A hand-set baseline computed from the wording of the request. It knows nothing about the world."

INTERCEPT = -0.25
"""About 44 %: people reach somewhat fewer than half of the goals that they set themselves."""

DEFAULT_HORIZON_DAYS = 180
LONGEST_HORIZON_DAYS = 36_500

Z_SCORES = {"low": 0.674, "medium": 1.282, "high": 1.960}
"""Half widths of the central 50, 80 and 95 % of a normal distribution."""

DAYS = {"day": 1, "week": 7, "fortnight": 14, "month": 30, "quarter": 91, "year": 365, "decade": 3650}
NUMBER_WORDS = {
    word: number
    for number, words in {
        1: "a an one next this",
        2: "two couple",
        3: "three few",
        4: "four",
        5: "five",
        6: "six",
        7: "seven",
        8: "eight",
        9: "nine",
        10: "ten",
        12: "twelve",
    }.items()
    for word in words.split()
}
DURATION = re.compile(
    r"\b(?:(?P<digits>\d{1,5}(?:\.\d{1,3})?)|(?P<word>[a-z]{1,6}))(?: of)?[ -]?"
    r"(?P<unit>day|week|fortnight|month|quarter|year|decade)s?\b"
)
NUMBER = re.compile(r"\d")
EXPERIENCE = re.compile(r"\b(\d{1,2})\+? years?\b")
HEDGES = re.compile(r"\b(?:maybe|might|perhaps|hope|hopefully|try|someday|possibly|wish|not sure)\b")
STRETCHES = re.compile(
    r"\b(?:million|billion|world|famous|olympics?|championship|number one|best|first ever|overnight)\b"
)
COMMITMENTS = re.compile(
    r"\b(?:already|started|currently|plan|daily|weekly|schedule|coach|mentor|budget|savings?|trained)\b"
)


@dataclass(frozen=True)
class Question:
    goal: str
    timeframe: str = ""
    context: str = ""
    enhanced_grounding: bool = False
    confidence_level: str = "medium"


@dataclass(frozen=True)
class Driver:
    """One signal. `effect` is in log-odds: above zero it speaks for success."""

    name: str
    effect: float
    explanation: str


def forecast(question: Question) -> dict[str, object]:
    """The answer of POST /predict. `enhanced_grounding` adds to each driver what was read from the text."""
    horizon = horizon_days(question.timeframe)
    drivers = _drivers(question, horizon)
    log_odds = INTERCEPT + sum(driver.effect for driver in drivers)
    margin = Z_SCORES[question.confidence_level] * _spread(question, horizon)
    strongest = max(drivers, key=lambda driver: abs(driver.effect))
    probability = _probability(log_odds)
    return {
        "prediction": {
            "probability": probability,
            "low": _probability(log_odds - margin),
            "high": _probability(log_odds + margin),
            "horizon_days": horizon or DEFAULT_HORIZON_DAYS,
            "drivers": [
                {"name": driver.name, "effect": driver.effect}
                | ({"explanation": driver.explanation} if question.enhanced_grounding else {})
                for driver in drivers
            ],
            "explanation": (
                f"Baseline of {probability:.0%}. The strongest signal is {strongest.name.replace('_', ' ')}: "
                f"{strongest.explanation}"
            ),
        },
        "model": MODEL,
        "kind": "baseline",
        "disclaimer": DISCLAIMER,
    }


def horizon_days(timeframe: str) -> int | None:
    """`6 months`, `two weeks`, `a year`, `90 days` as days; None when the words are not understood."""
    found = DURATION.search(timeframe.lower())
    if found is None:
        return None
    count = float(found["digits"]) if found["digits"] else NUMBER_WORDS.get(found["word"])
    if not count:
        return None
    return max(1, min(LONGEST_HORIZON_DAYS, round(count * DAYS[found["unit"]])))


def _drivers(question: Question, horizon: int | None) -> list[Driver]:
    text = f"{question.goal} {question.context}".lower()
    words = len(text.split())
    years = max((int(number) for number in EXPERIENCE.findall(question.context.lower())), default=0)
    hedges, stretches = len(HEDGES.findall(text)), len(STRETCHES.findall(text))
    commitments = len(set(COMMITMENTS.findall(text)))
    measurable = NUMBER.search(question.goal) is not None
    days = horizon or DEFAULT_HORIZON_DAYS
    return [
        _driver(
            "time_available",
            _within(0.35 * math.log(days / DEFAULT_HORIZON_DAYS), 1.0),
            f"{days} days" if horizon else f"the timeframe was not understood, {days} days were assumed",
        ),
        _driver(
            "measurable_goal",
            0.3 if measurable else -0.1,
            "a number" if measurable else "no number in the goal",
        ),
        _driver("detail", _within(0.25 * math.log((words + 1) / 20), 0.5), f"{words} words of goal and context"),
        _driver("experience", min(0.8, 0.1 * years), f"{years} years named in the context"),
        _driver("commitment", min(0.6, 0.2 * commitments), f"{commitments} words of work already under way"),
        _driver("hedging", -min(0.8, 0.2 * hedges), f"{hedges} hedging words"),
        _driver("stretch", -min(1.5, 0.5 * stretches), f"{stretches} words of an unusually high aim"),
    ]


def _driver(name: str, effect: float, explanation: str) -> Driver:
    return Driver(name, round(effect, 3) + 0.0, explanation)  # + 0.0 turns -0.0 into 0.0


def _spread(question: Question, horizon: int | None) -> float:
    """The standard deviation in log-odds: smaller with more to read, larger when the time is a guess."""
    words = len(f"{question.goal} {question.context}".split())
    return 1.1 - 0.4 * min(1.0, words / 150) + (0.3 if horizon is None else 0.0)


def _within(value: float, bound: float) -> float:
    return max(-bound, min(bound, value))


def _probability(log_odds: float) -> float:
    return round(max(0.02, min(0.98, 1 / (1 + math.exp(-log_odds)))), 3)
