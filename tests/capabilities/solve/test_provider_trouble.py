"""A provider that is down, slow or failing: the right status in time, nothing charged, and `/health/providers` says so."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth.tiers import Tier
from sandbox.ai_server.next_answers import NextAnswer
from tests.admin.dashboard import Dashboard, text_of
from tests.capabilities.solve.conftest import BASE, Customer, RunningSolve, Start
from tests.capabilities.solve.made_pictures import png_of
from tests.capabilities.solve.test_try_page import PATH, send

NOBODY = "http://127.0.0.1:1/v1"
PROVIDER_SECONDS, LATEST_SECONDS = 1, 30
"""The stand-in is silent for an hour."""


def health(running: RunningSolve) -> dict[str, Any]:
    answer = running.app.test_client().get("/health/providers", base_url=BASE)
    assert answer.status_code == 200, answer.text
    (provider,) = (each for each in answer.get_json()["providers"] if each["name"] == "openai")
    return dict(provider)


def assert_free(customer: Customer) -> None:
    assert [row for row in customer.log() if row["success"] or row["price_micros"]] == []
    assert (customer.charges(), customer.held()) == ([], 0)
    assert {unit.split()[0] for unit in customer.used()} <= {"failure"}


@pytest.mark.slow
def test_a_provider_that_is_down_opens_the_breaker(start: Start) -> None:
    running = start(OPENAI_BASE_URL=NOBODY)
    alice, bob = running.register(Tier.PRO), Dashboard(running.app).customer()
    for _ in range(5):
        refused = alice.solve()
        assert (refused.status_code, refused.get_json()["error"]) == (503, "service_unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
    told = health(running)
    assert (told["name"], told["status"], told["mock"]) == ("openai", "down", False)
    assert told["breaker"] != "closed"
    assert alice.solve().status_code == 503
    assert {row["status"] for row in alice.log()} == {503}
    assert_free(alice)
    assert alice.used() == {}  # what never left is nobody's failure
    page = send(bob)
    assert (page.status_code, "Retry-After" in page.headers) == (503, True)
    assert 'role="alert"' in page.text and "Solve for 1.00 USD" in page.text
    assert "What is it?" in page.text


@pytest.mark.slow
def test_failures_of_five_users_open_the_breaker_and_one_users_do_not(start: Start) -> None:
    running = start()
    carol = running.register(Tier.PRO)
    running.ai.next.add(NextAnswer(status=500), times=10)
    assert {carol.solve().status_code for _ in range(10)} == {502}
    assert health(running)["breaker"] == "closed"
    people = [running.register(Tier.PRO) for _ in range(6)]
    running.ai.next.add(NextAnswer(status=500), times=10)
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(Customer.solve, people[:5] * 2))
    assert {answer.status_code for answer in answers} <= {502, 503}
    asked = len(running.ai.books.entries)
    assert (health(running)["status"], health(running)["breaker"]) == ("down", "open")
    assert people[5].solve().status_code == 503
    assert len(running.ai.books.entries) == asked
    for person in people:
        assert_free(person)


@pytest.mark.slow
@pytest.mark.parametrize(
    "trouble",
    [
        NextAnswer(hold=True),
        NextAnswer(header_pause_seconds=0.5),
        NextAnswer(trickle_bytes=1, trickle_pause_seconds=0.2),
        NextAnswer(stall_after_bytes=30),
    ],
    ids=["silent", "slow head", "slow body", "stalled"],
)
def test_a_slow_provider_is_waited_for_until_the_deadline(start: Start, trouble: NextAnswer) -> None:
    running = start(OPENAI_TIMEOUT_S=str(PROVIDER_SECONDS))
    alice = running.register()
    running.ai.next.add(trouble)
    begun = time.monotonic()
    answer = alice.solve()
    took = time.monotonic() - begun
    running.ai.next.release()
    assert (answer.status_code, took < LATEST_SECONDS) == (504, True), (answer.text, took)
    assert_free(alice)
    (row,) = alice.log()
    assert (row["outcome"], row["status"]) == ("unknown", 504)


def test_the_try_page_says_when_a_plan_allows_more(running: RunningSolve) -> None:
    customer = Dashboard(running.app).customer()
    running.rows(
        'INSERT INTO usage_counters (user_id, feature, unit, "window", used, allowed)'
        " VALUES (%s, 'solve', 'call', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 10, 10) RETURNING used",
        str(customer.user_id),
    )
    page = send(customer)
    assert (page.status_code, int(page.headers["Retry-After"]) >= 1) == (429, True)
    assert 'role="alert"' in page.text and "Solve for 1.00 USD" in page.text and "What is it?" in page.text
    assert "solves" in text_of(page) and "Try again in" in text_of(page)
    assert customer.get(PATH).status_code == 200


def test_the_try_page_says_when_the_provider_is_busy(running: RunningSolve) -> None:
    customer = Dashboard(running.app).customer()
    running.ai.next.add(NextAnswer(status=429, retry_after=7))
    page = send(customer)
    assert (page.status_code, page.headers["Retry-After"]) == (429, "7")
    assert "The AI provider is busy" in text_of(page) and "Solve for 1.00 USD" in page.text


@pytest.mark.slow
def test_more_requests_than_a_process_works_on_are_told_to_come_again(start: Start) -> None:
    running = start(SOLVE_MAX_IN_FLIGHT="1")
    alice, bob, customer = running.register(), running.register(), Dashboard(running.app).customer()
    running.ai.next.add(NextAnswer(hold=True))
    with ThreadPoolExecutor(1) as other:
        first = other.submit(alice.solve)
        assert running.ai.books.wait_for(1)
        refused, page = bob.solve(), send(customer)
        running.ai.next.release()
        assert first.result().status_code == 200
    assert (refused.status_code, refused.get_json()["error"]) == (503, "too_busy")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (page.status_code, "Retry-After" in page.headers) == (503, True)
    assert 'role="alert"' in page.text and "Solve for 1.00 USD" in page.text
    assert (bob.log(), bob.charges(), bob.solve().status_code) == ([], [], 200)


@pytest.mark.slow
def test_more_large_pictures_than_can_be_decoded_are_told_to_come_again(start: Start) -> None:
    running = start(BILLING_MAX_OPEN_CENTS="none")
    alice = running.register(Tier.ENTERPRISE)
    largest = png_of(6300, 6300, bytes(6301 * 6300))
    with ThreadPoolExecutor(14) as senders:
        answers = list(senders.map(lambda _: alice.solve(largest), range(14)))
    statuses = [answer.status_code for answer in answers]
    assert 503 in statuses and set(statuses) <= {200, 503}, statuses  # on a slow machine not even one is in time
    busy = [answer for answer in answers if answer.status_code == 503]
    assert {(answer.get_json()["error"], answer.headers["Retry-After"]) for answer in busy} == {("too_busy", "2")}
    assert len(alice.charges()) == len(running.ai.books.entries) == statuses.count(200)
    assert not [unit for unit in alice.used() if unit.startswith("failure")]
    assert alice.held() == 0
