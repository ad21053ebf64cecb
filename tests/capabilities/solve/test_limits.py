"""What a plan, a budget and the hour's failures allow of solving; how providers fail; and that the limits hold exactly."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth.tiers import Tier
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.valkey import EmbeddedValkey
from tests.capabilities.solve.conftest import Customer, RunningSolve, Start

BUDGET = "/api/gateway/usage/budget"


def test_a_plan_has_so_many_at_once(running: RunningSolve) -> None:
    alice = running.register()
    running.ai.next.add(NextAnswer(hold=True))
    with ThreadPoolExecutor(1) as other:
        first = other.submit(alice.solve)
        assert running.ai.books.wait_for(1)
        refused = alice.solve()
        running.ai.next.release()
        assert first.result().status_code == 200
    assert (refused.status_code, refused.get_json()["violated-policies"]) == (429, ["concurrency"])
    assert len(alice.charges()) == 1


def test_a_budget_is_told_and_refuses(running: RunningSolve) -> None:
    alice = running.register()
    assert alice.call("PUT", BUDGET, json={"monthly_cents": 150}).status_code == 200
    assert alice.solve(key="one").get_json()["remaining"]["budget_cents"] == 50
    refused = alice.solve()
    assert (refused.status_code, refused.get_json()["error"]) == (402, "budget_reached")
    assert alice.solve(key="one").headers["Idempotency-Replayed"] == "true"
    assert (len(running.ai.books.entries), len(alice.charges())) == (1, 1)


def test_what_an_account_may_owe_has_an_end(start: Start) -> None:
    running = start(BILLING_MAX_OPEN_CENTS="150")
    alice = running.register()
    refused = [alice.solve() for _ in range(2)][-1]
    assert (refused.status_code, refused.get_json()["error"]) == (402, "billing_limit_reached")
    assert len(running.ai.books.entries) == 1


# Those that say something against the provider come last, or its breaker would open.
FAILURES: list[tuple[NextAnswer, int, str]] = [
    (NextAnswer(status=400), 502, "provider_failed"),
    (NextAnswer(status=401), 502, "provider_misconfigured"),
    (NextAnswer(status=403), 502, "provider_misconfigured"),
    (NextAnswer(status=429), 429, "service_busy"),
    (NextAnswer(body="<html>"), 502, "provider_failed"),
    (NextAnswer(body="{" * 1_100_000), 502, "provider_failed"),
    (NextAnswer(finish="content_filter"), 422, "content_refused"),
    (NextAnswer(finish="refusal"), 422, "content_refused"),
    (NextAnswer(status=500), 502, "provider_failed"),
    (NextAnswer(cut_after_bytes=20), 502, "provider_failed"),
    (NextAnswer(reset=True), 502, "provider_failed"),
]


@pytest.fixture(scope="module")
def bob_of_module(running_of_module: RunningSolve) -> Customer:
    return running_of_module.register(Tier.TEAM)


@pytest.mark.parametrize(("trouble", "status", "error"), FAILURES)
def test_a_call_that_fails_is_free(
    running: RunningSolve, bob_of_module: Customer, trouble: NextAnswer, status: int, error: str
) -> None:
    running.ai.next.add(trouble)
    answer = bob_of_module.solve()
    assert (answer.status_code, answer.get_json()["error"]) == (status, error)
    row = bob_of_module.log()[-1]
    assert (row["success"], row["status"], row["outcome"]) == (False, status, "failed")
    assert (row["provider"], row["model"]) == ("openai", "gpt-6-luna")
    assert (bob_of_module.charges(), bob_of_module.held()) == ([], 0)
    assert {unit.split()[0] for unit in bob_of_module.used()} == {"failure"}


def test_a_time_out_is_unknown_and_its_cost_noted(start: Start) -> None:
    running = start(OPENAI_TIMEOUT_S="0.5")
    running.ai.next.add(NextAnswer(hold=True))
    alice = running.register()
    answer = alice.solve(key="one")
    running.ai.next.release()
    assert (answer.status_code, answer.get_json()["error"]) == (504, "request_timeout")
    (row,) = alice.log()
    assert (row["outcome"], row["success"], row["price_micros"], row["cost_micros"] > 0) == ("unknown", False, 0, True)
    assert (alice.charges(), alice.held()) == ([], 0)
    assert alice.solve(key="one").status_code == 200


def test_after_twenty_failures_an_hour_the_provider_is_not_asked(running: RunningSolve) -> None:
    alice = running.register(Tier.ENTERPRISE)
    running.ai.next.add(NextAnswer(finish="refusal"), times=20)
    assert {alice.solve().status_code for _ in range(20)} == {422}
    refused = alice.solve()
    assert (refused.status_code, refused.get_json()["error"]) == (429, "too_many_failures")
    assert len(running.ai.books.entries) == 20


def test_bad_pictures_do_not_count_as_failures(running: RunningSolve) -> None:
    alice = running.register(Tier.ENTERPRISE)
    assert {alice.solve(b"no picture at all").status_code for _ in range(21)} == {415}
    assert alice.solve().status_code == 200


def repeated(customer: Customer, tries: int = 400, **fields: Any) -> Any:
    """Until it is refused by something that does not pass in a moment."""
    for _ in range(tries):
        answer = customer.solve(**fields)
        told = answer.get_json()
        passing = {"burst", "concurrency"} >= set(told.get("violated-policies", ["none"]))
        if not (answer.status_code == 429 and passing) and told.get("error") != "too_busy":
            return answer
        threading.Event().wait(0.05)
    raise AssertionError("it never came to an end")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["redis", "postgres", "redis-killed"])
def test_two_hundred_at_once_with_a_budget_for_seven(start: Start, own_valkey: EmbeddedValkey, backend: str) -> None:
    patient = {"OPENAI_TIMEOUT_S": "30"}  # forty callers and the provider share one process
    running = start(None if backend == "postgres" else own_valkey.url, **patient)
    alice = running.register()
    running.rows("INSERT INTO usage_budgets (user_id, monthly_cents) VALUES (%s, 700) RETURNING user_id", alice.id)
    with ThreadPoolExecutor(40) as callers:
        attempts = [callers.submit(repeated, alice) for _ in range(200)]
        if backend == "redis-killed":
            assert running.ai.books.wait_for(3)
            own_valkey.kill()
            assert running.ai.books.wait_for(5, 60)
            own_valkey.start()
        answers = [attempt.result() for attempt in attempts]
    found = Counter((answer.status_code, answer.get_json().get("error")) for answer in answers)
    assert found == {(200, None): 7, (402, "budget_reached"): 193}
    assert (len(alice.charges()), len(running.ai.books.entries), alice.held()) == (7, 7, 0)
    assert sum(row["success"] for row in alice.log()) == 7


@pytest.mark.slow
def test_one_key_fifty_times_at_once_is_one_call(running: RunningSolve) -> None:
    alice = running.register(Tier.ENTERPRISE)
    with ThreadPoolExecutor(50) as callers:
        answers = list(callers.map(lambda _: until_answered(alice), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert (len(running.ai.books.entries), len(alice.charges())) == (1, 1)


def until_answered(customer: Customer) -> Any:
    """The first one still runs for a while."""
    for _ in range(400):
        answer = repeated(customer, key="one")
        if answer.status_code != 409:
            return answer
        threading.Event().wait(0.05)
    raise AssertionError("it never came to an end")
