"""What a plan allows: exactly so many answers a day, whatever fails and however many come together."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth.tiers import Tier
from capabilities.commands.plan_limits import COMMANDS_LIMITS
from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.commands.conftest import BASE, Customer, RunningCommands, Start

PER_DAY = 10


def refusal(answer: TestResponse) -> tuple[int, Any, Any]:
    told = answer.get_json()
    return answer.status_code, told["violated-policies"][0], told["limited_by"]


def use(customer: Customer, calls: int) -> None:
    """As if it had been so often today. There is no Redis here that would have to know."""
    customer.running.rows(
        'INSERT INTO usage_counters (user_id, feature, unit, "window", used, allowed)'
        " VALUES (%s, 'commands', 'call', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'), %s, %s) RETURNING used",
        customer.id,
        calls,
        PER_DAY,
    )


def test_the_eleventh_answer_of_a_day_is_refused(running: RunningCommands, bob: Customer) -> None:
    running.ai.next.add(NextAnswer(status=502), times=2)
    assert [bob.ask().status_code for _ in range(2)] == [502, 502]  # these do not count
    use(bob, PER_DAY - 1)
    last = bob.ask()
    assert (last.status_code, '"day";r=0' in last.headers["RateLimit"]) == (200, True)
    eleventh = bob.ask("explain")
    assert refusal(eleventh) == (429, "day", "plan")
    assert int(eleventh.headers["Retry-After"]) > 0
    assert bob.ask("validate-key").status_code == 200
    assert (bob.used(), len(running.ai.books.billed)) == (PER_DAY, 1)


@pytest.mark.slow
def test_ten_answers_in_a_day_and_no_more_with_redis(start: Start, redis_url: str) -> None:
    running = start(redis_url)
    bob = running.register()
    running.ai.next.add(NextAnswer(status=402))
    assert bob.ask().status_code == 402
    # The burst of a free plan is as large as its day, and the failed call took one of it.
    answers = [bob.ask() for _ in range(PER_DAY - 1)]
    assert {answer.status_code for answer in answers} == {200}
    assert refusal(bob.ask()) == (429, "burst", "plan")
    assert bob.used() == PER_DAY - 1


@pytest.mark.slow
@pytest.mark.parametrize("with_redis", [False, True])
def test_ten_at_once_of_eight_left_are_eight(start: Start, redis_url: str, *, with_redis: bool) -> None:
    """A free user may have two at once, so each asks again until it is told of the day."""
    running = start(redis_url if with_redis else None)
    bob = running.register()
    use(bob, PER_DAY - 8)

    def until_decided(_: int) -> int:
        while True:
            answer = bob.ask()
            if answer.status_code == 200 or answer.get_json()["violated-policies"] != ["concurrency"]:
                return answer.status_code

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(until_decided, range(10)))
    assert sorted(answers) == [200] * 8 + [429] * 2
    assert (bob.used(), len(running.ai.books.billed)) == (PER_DAY, 8)


def test_twenty_failures_in_an_hour_are_enough(running: RunningCommands, bob: Customer) -> None:
    running.rows(
        'INSERT INTO usage_counters (user_id, feature, unit, "window", used)'
        " VALUES (%s, 'commands', 'failure', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24'), 20)"
        " RETURNING used",
        bob.id,
    )
    refused = bob.ask()
    assert (refused.status_code, refused.get_json()["error"]) == (429, "too_many_failures")
    assert refused.get_json()["limited_by"] == "plan"


def test_the_same_request_with_the_same_key_is_asked_once(alice: Customer) -> None:
    """The key for OpenRouter is no part of the request: with another one it is still the same."""
    first, again = (alice.ask(idempotency_key="one-and-the-same") for _ in range(2))
    other_key = alice.ask(idempotency_key="one-and-the-same", key="sk-or-v1-" + "0" * 40)
    assert first.get_json() == again.get_json() == other_key.get_json()
    assert (again.headers["Idempotency-Replayed"], alice.used()) == ("true", 1)
    reused = alice.ask(idempotency_key="one-and-the-same", description="something else")
    assert (reused.status_code, reused.get_json()["error"]) == (422, "idempotency_key_reused")
    assert len(alice.running.ai.books.billed) == 1


def test_a_failed_request_may_be_repeated_under_its_key(alice: Customer) -> None:
    alice.running.ai.next.add(NextAnswer(status=402))
    assert alice.ask(idempotency_key="again-and-again").status_code == 402
    assert alice.ask(idempotency_key="again-and-again").status_code == 200


def test_the_plans_show_what_they_allow(running: RunningCommands) -> None:
    told = running.app.test_client().get("/api/payments/plans", base_url=BASE).get_json()["plans"]
    shown = {plan["tier"]: plan["limits"]["commands"] for plan in told}
    figures = {tier: (each["per_day"], each["burst"], each["concurrency"]) for tier, each in shown.items()}
    assert figures == {
        "free": (10, 10, 2),
        "plus": (50, 20, 2),
        "pro": (100, 30, 4),
        "team": (500, 60, 8),
        "enterprise": (None, 200, 16),
    }
    assert {each.burst_seconds for each in COMMANDS_LIMITS.values()} == {60}
    assert set(figures) == set(Tier)
