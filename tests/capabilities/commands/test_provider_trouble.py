"""What OpenRouter answers in trouble, by its status or within a 200: the right error, and nothing is counted."""

import json

import pytest

from auth.tiers import Tier
from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.commands.conftest import COMMANDS, Customer, RunningCommands, Start

REJECTED = json.dumps({"error": {"code": 403, "message": "This key is disabled"}})
CASES = [
    (NextAnswer(status=400), 422, "model_not_usable"),
    (NextAnswer(status=401), 422, "provider_key_rejected"),
    (NextAnswer(status=402), 402, "provider_credit_exhausted"),
    (NextAnswer(status=403), 422, "content_refused"),
    (NextAnswer(body=REJECTED), 422, "provider_key_rejected"),
    (NextAnswer(status=404), 422, "model_not_usable"),
    (NextAnswer(status=408), 504, "request_timeout"),
    (NextAnswer(status=429, retry_after=7), 429, "service_busy"),
    (NextAnswer(status=500), 502, "provider_failed"),
    (NextAnswer(status=502), 502, "provider_failed"),
    (NextAnswer(status=503), 503, "service_unavailable"),
    (NextAnswer(reset=True), 502, "provider_failed"),
    (NextAnswer(body="<html>"), 502, "provider_failed"),
    (NextAnswer(body='{"error": "odd"}'), 502, "provider_failed"),
    (NextAnswer(finish="content_filter"), 422, "content_refused"),
    (NextAnswer(redirect_to="https://elsewhere.example"), 502, "provider_failed"),
]
IN_BODY = [401, 402, 403, 429, 502, 503]


@pytest.mark.parametrize(("trouble", "status", "error"), CASES, ids=lambda each: None)
def test_each_trouble_has_its_error_and_costs_nothing(
    alice: Customer, trouble: NextAnswer, status: int, error: str
) -> None:
    alice.running.ai.next.add(trouble)
    answer = alice.ask()
    assert (answer.status_code, answer.get_json()["error"]) == (status, error), answer.text
    assert (alice.used(), alice.used("failure")) == (0, 1)
    (row,) = alice.log()
    assert (row["success"], row["status"]) == (False, status)


@pytest.mark.parametrize("status", IN_BODY)
def test_an_error_within_a_200_is_the_same(alice: Customer, status: int) -> None:
    told = []
    for in_body in (False, True):
        alice.running.ai.next.add(NextAnswer(status=status, error_in_body=in_body))
        answer = alice.ask()
        told.append((answer.status_code, answer.get_json()["error"]))
    assert (told[0], alice.used()) == (told[1], 0)


def test_an_error_of_the_choice_is_one_too(alice: Customer) -> None:
    choice = {"finish_reason": "error", "error": {"code": 402, "message": "x"}, "message": {"content": ""}}
    alice.running.ai.next.add(NextAnswer(body=json.dumps({"choices": [choice]})))
    assert alice.ask().status_code == 402


def test_a_busy_provider_says_so_and_when_to_come_again(alice: Customer) -> None:
    for path in ("suggest", "validate-key"):
        alice.running.ai.next.add(NextAnswer(status=429, retry_after=7))
        busy = alice.ask(path)
        assert (busy.status_code, busy.headers["Retry-After"]) == (429, "7")
        assert busy.get_json()["limited_by"] == "provider"


@pytest.mark.slow
def test_a_slow_provider_is_waited_for_until_the_deadline(start: Start) -> None:
    running = start(OPENROUTER_TIMEOUT_S="0.5")
    alice = running.register()
    for path in ("suggest", "validate-key"):
        running.ai.next.add(NextAnswer(hold=True))
        assert alice.ask(path).status_code == 504
        running.ai.next.release()
    assert (alice.used(), alice.log()[0]["outcome"]) == (0, "unknown")


@pytest.mark.slow
def test_keys_that_are_rejected_close_the_service_for_nobody(start: Start) -> None:
    """Nor do models that are down; failures of OpenRouter itself do."""
    running = start()
    people = [running.register(Tier.ENTERPRISE) for _ in range(6)]
    for person in people:
        assert {person.ask(key="sk-or-v1-" + "0" * 40).status_code for _ in range(4)} == {422}
    running.ai.next.add(NextAnswer(status=502), times=12)
    assert {person.ask().status_code for person in people for _ in range(2)} == {502}
    assert people[0].ask().status_code == 200
    running.ai.next.add(NextAnswer(status=500), times=100)
    assert {person.ask().status_code for person in people for _ in range(6)} == {502, 503}


@pytest.mark.slow
def test_a_provider_that_is_away_is_503(start: Start) -> None:
    running = start(OPENROUTER_BASE_URL="http://127.0.0.1:1/api/v1")
    alice = running.register()
    for path in ("suggest", "validate-key"):
        away = alice.ask(path)
        assert (away.status_code, int(away.headers["Retry-After"]) >= 1) == (503, True)
    assert (alice.used(), alice.used("failure")) == (0, 0)


def validated(customer: Customer, **trouble: object) -> tuple[int, object]:
    customer.running.ai.next.add(NextAnswer(**trouble))  # type: ignore[arg-type]
    answer = customer.post(f"{COMMANDS}/validate-key", {"api_key": customer.running.ai.keys["openrouter"]})
    return answer.status_code, answer.get_json().get("error", answer.get_json().get("valid"))


def test_a_key_is_looked_up(running: RunningCommands, alice: Customer) -> None:
    key = running.ai.keys["openrouter"]
    told = alice.ask("validate-key").get_json()
    assert told == {
        "valid": True,
        "label": f"{key[:12]}...{key[-3:]}",
        "limit": 10.0,
        "limit_remaining": 7.5,
        "usage": 2.5,
        "is_free_tier": False,
    }
    wrong = alice.ask("validate-key", key="sk-or-v1-" + "0" * 40)
    nothing = dict.fromkeys(["label", "limit", "limit_remaining", "usage", "is_free_tier"])
    assert (wrong.status_code, wrong.get_json()) == (200, {"valid": False, **nothing})
    assert (alice.used(), alice.used("failure"), alice.log()) == (0, 0, [])


def test_a_key_is_not_called_wrong_because_something_else_is(alice: Customer) -> None:
    assert validated(alice, status=401) == (200, False)
    assert validated(alice, status=401, error_in_body=True) == (200, False)
    assert validated(alice, status=402) == (502, "provider_failed")
    assert validated(alice, status=500) == (502, "provider_failed")
    assert validated(alice, status=503) == (503, "service_unavailable")
    assert validated(alice, body="<html>") == (502, "provider_failed")
    for data in ({}, {"label": 1, "limit": None, "limit_remaining": None, "usage": 1, "is_free_tier": False}):
        assert validated(alice, body=json.dumps({"data": data})) == (502, "provider_failed")
