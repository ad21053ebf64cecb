"""What each question is answered with, and what the model is asked for it."""

import json
from typing import Any

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.commands.conftest import BODIES, COMMANDS, Customer, RunningCommands

USAGE = {"input_tokens", "output_tokens", "estimated"}
MEMBERS = {
    "suggest": {"command", "explanation", "risk", "risk_reasons", "needs_input", "alternatives"},
    "explain": {"summary", "parts", "risk", "risk_reasons"},
    "explain-error": {"cause", "fixes"},
    "optimize": {"command", "changes", "risk", "risk_reasons"},
}


@pytest.mark.parametrize("question", BODIES)
def test_each_question_is_answered_in_its_form(alice: Customer, question: str) -> None:
    answer = alice.ask(question)
    assert answer.status_code == 200, answer.text
    told = answer.get_json()
    assert told.keys() == MEMBERS[question] | {"redactions", "model", "usage", "request_id"}
    assert (told["model"], told["usage"].keys(), told["redactions"]) == ("anthropic/claude-sonnet-5.5", USAGE, 0)
    assert "RateLimit" in answer.headers
    (row,) = alice.log()
    assert (str(row["id"]), row["provider"], row["model"]) == (told["request_id"], "openrouter", told["model"])
    assert (alice.used(), row["units"]["input_tokens"]) == (1, told["usage"]["input_tokens"])
