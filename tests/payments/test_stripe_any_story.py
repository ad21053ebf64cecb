"""Whatever happens at Stripe, and however badly we are told of it: in the end our rows say what Stripe says.

Each seed is a story. `pytest "tests/payments/test_stripe_any_story.py::test_in_the_end_our_rows_say_what_stripe_says[17]"` tells
one again, FIRST_STORY=1000 in the environment tells others.
"""

import os

import pytest

from tests.payments.stripe_app import RunningStripe
from tests.payments.stripe_oracle import complaints
from tests.payments.stripe_stories import Story

STORIES = 200
ALWAYS_TOLD = 2
"""The others are told by `make test-slow`."""
FIRST = int(os.environ.get("FIRST_STORY", "0"))


@pytest.mark.parametrize(
    "seed",
    [pytest.param(FIRST + number, marks=() if number < ALWAYS_TOLD else pytest.mark.slow) for number in range(STORIES)],
)
def test_in_the_end_our_rows_say_what_stripe_says(stripe: RunningStripe, seed: int) -> None:
    story = Story(stripe, seed)
    try:
        story.play()
        found = list(complaints(stripe, story.user, story.may_end))
    except Exception as error:
        error.add_note("\n".join([f"in story {seed}:", *story.told]))
        raise
    assert found == [], "\n".join([f"story {seed}:", *story.told, "and in the end:", *found])
