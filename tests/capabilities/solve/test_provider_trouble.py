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
PROVIDER_SECONDS, LATEST_SECONDS = 1, 8
FREE_BURST = 5


def health(running: RunningSolve) -> dict[str, Any]:
    answer = running.app.test_client().get("/health/providers", base_url=BASE)
    assert answer.status_code == 200, answer.text
    (provider,) = answer.get_json()["providers"]
    return dict(provider)


def assert_free(customer: Customer) -> None:
    assert [row for row in customer.log() if row["success"] or row["price_micros"]] == []
    assert (customer.charges(), customer.held()) == ([], 0)
    assert {unit.split()[0] for unit in customer.used()} <= {"failure"}


def test_a_provider_that_is_down_opens_the_breaker(start: Start) -> None:
    running = start(OPENAI_BASE_URL=NOBODY)
    alice, bob = running.register(Tier.PRO), Dashboard(running.app).customer()
    for _ in range(5):
        refused = alice.solve()
        assert (refused.status_code, refused.get_json()["error"]) == (503, "service_unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
    told = health(running)
    assert (told["name"], told["status"], told["breaker"], told["mock"]) == ("openai", "down", "open", False)
    assert alice.solve().status_code == 503
    assert [row["status"] for row in alice.log()] == [503] * 5  # the sixth was not even reserved
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
    people = [running.register() for _ in range(5)]
    for person in people:
        running.ai.next.add(NextAnswer(reset=True), times=2)
        assert {person.solve().status_code for _ in range(2)} <= {502, 503}
        assert_free(person)
    assert (health(running)["status"], health(running)["breaker"]) == ("down", "open")
    asked = len(running.ai.books.entries)
    assert running.register().solve().status_code == 503
    assert len(running.ai.books.entries) == asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (NextAnswer(hold=True), 504),
        (NextAnswer(header_pause_seconds=0.5), 504),
        (NextAnswer(trickle_bytes=1, trickle_pause_seconds=0.2), 504),
        (NextAnswer(stall_after_bytes=30), 504),
        (NextAnswer(cut_after_bytes=30), 502),
        (NextAnswer(reset=True), 502),
    ],
    ids=["silent", "slow head", "slow body", "stalled", "cut", "reset"],
)
def test_a_slow_provider_is_waited_for_until_the_deadline(start: Start, trouble: NextAnswer, status: int) -> None:
    running = start(OPENAI_TIMEOUT_S=str(PROVIDER_SECONDS))
    alice = running.register()
    running.ai.next.add(trouble)
    begun = time.monotonic()
    answer = alice.solve()
    took = time.monotonic() - begun
    running.ai.next.release()
    assert (answer.status_code, took < LATEST_SECONDS) == (status, True), (answer.text, took)
    assert_free(alice)
    (row,) = alice.log()
    assert (row["outcome"], row["status"]) == ("unknown" if status == 504 else "failed", status)


def test_the_try_page_says_when_a_plan_allows_more(running: RunningSolve) -> None:
    customer = Dashboard(running.app).customer()
    assert {send(customer, prompt=f"{number}").status_code for number in range(FREE_BURST)} == {200}
    page = send(customer)
    assert (page.status_code, int(page.headers["Retry-After"]) >= 1) == (429, True)
    assert 'role="alert"' in page.text and "Solve for 1.00 USD" in page.text and "What is it?" in page.text
    assert "solves" in text_of(page)
    assert customer.get(PATH).status_code == 200


def test_the_try_page_says_when_the_provider_is_busy(running: RunningSolve) -> None:
    customer = Dashboard(running.app).customer()
    running.ai.next.add(NextAnswer(status=429, retry_after=7))
    page = send(customer)
    assert (page.status_code, page.headers["Retry-After"]) == (429, "7")
    assert "The AI provider is busy" in text_of(page) and "Solve for 1.00 USD" in page.text


@pytest.mark.slow
def test_more_large_pictures_than_can_be_decoded_are_told_to_come_again(start: Start) -> None:
    running = start(BILLING_MAX_OPEN_CENTS="none")
    alice = running.register(Tier.ENTERPRISE)
    largest = png_of(6300, 6300, bytes(6301 * 6300))
    with ThreadPoolExecutor(14) as senders:
        answers = list(senders.map(lambda _: alice.solve(largest), range(14)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}, statuses
    busy = [answer for answer in answers if answer.status_code == 503]
    assert {(answer.get_json()["error"], answer.headers["Retry-After"]) for answer in busy} == {("too_busy", "2")}
    assert len(alice.charges()) == len(running.ai.books.entries) == statuses.count(200)
    assert not [unit for unit in alice.used() if unit.startswith("failure")]
    assert alice.held() == 0
