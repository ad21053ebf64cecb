"""Nobody learns from an answer, or from how long it takes, whether an address has an account."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import pytest
from werkzeug.test import TestResponse

from tests.auth.accounts_app import PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts

SAMPLES = 200
ROUNDS = 2
SHARE_OF_MEDIAN = 0.10
SECONDS = 0.015
OF_ONE_REQUEST = {"X-Request-ID", "Date"}

Ask = Callable[[Accounts, str], TestResponse]


def sign_in(accounts: Accounts, email: str) -> TestResponse:
    return accounts.sign_in(email, password=f"not {PASSWORD}")


def register(accounts: Accounts, email: str) -> TestResponse:
    return accounts.post("/register", {"email": email, "password": PASSWORD})


def forgot(accounts: Accounts, email: str) -> TestResponse:
    return accounts.post("/forgot-password", {"email": email})


def resend(accounts: Accounts, email: str) -> TestResponse:
    return accounts.post("/resend-verification", {"email": email})


def try_code(accounts: Accounts, email: str) -> TestResponse:
    return accounts.post("/reset-password", {"email": email, "code": "123456", "new_password": PASSWORD})


ROUTES = pytest.mark.parametrize("ask", [sign_in, register, forgot, resend, try_code])


@dataclass
class Group:
    """Samples of addresses that all have an account, or all have none."""

    seconds: list[float] = field(default_factory=list)
    answers: set[tuple[int, str, tuple[tuple[str, str], ...]]] = field(default_factory=set)

    def take(self, ask: Ask, accounts: Accounts, email: str) -> None:
        started = time.perf_counter()
        answer = ask(accounts, email)
        self.seconds.append(time.perf_counter() - started)
        self.answers.add((answer.status_code, without_ids(answer), headers_of(answer)))


def without_ids(answer: TestResponse) -> str:
    return answer.text.replace(answer.headers["X-Request-ID"], "")


def headers_of(answer: TestResponse) -> tuple[tuple[str, str], ...]:
    """As they are sent, less what differs between any two requests."""
    return tuple(each for each in answer.headers if each[0] not in OF_ONE_REQUEST)


def sample(accounts: Accounts, ask: Ask, number: int) -> tuple[Group, Group]:
    """Known and unknown addresses take turns, each first as often as the other, so that a slow moment meets both.

    Every address is used once: a registration changes what the next one meets.
    """
    known, unknown = Group(), Group()
    names = [secrets.token_hex(6) for _ in range(number)]
    for name in names:
        assert register(accounts, f"{name}@known.example").status_code == 202
        if ask is try_code:
            forgot(accounts, f"{name}@known.example")
    accounts.messages()
    for turn, name in enumerate(names):
        pair = [(known, f"{name}@known.example"), (unknown, f"{name}@other.example")]
        for group, email in pair if turn % 2 else reversed(pair):
            group.take(ask, accounts, email)
    return known, unknown


@ROUTES
def test_known_and_unknown_addresses_get_the_same_bytes(make_accounts: MakeAccounts, ask: Ask) -> None:
    known, unknown = sample(make_accounts(registration_response="private"), ask, 2)
    assert known.answers == unknown.answers
    assert len(known.answers) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@ROUTES
def test_known_and_unknown_addresses_take_the_same_time(make_accounts: MakeAccounts, ask: Ask) -> None:
    """Medians, because single samples tell of the machine. One repetition: a real difference stays, noise does not."""
    accounts = make_accounts(registration_response="private")
    seen = []
    for _ in range(ROUNDS):
        known, unknown = sample(accounts, ask, SAMPLES)
        assert known.answers == unknown.answers
        seen.append((median(known.seconds), median(unknown.seconds)))
        if abs(seen[-1][0] - seen[-1][1]) <= max(SHARE_OF_MEDIAN * seen[-1][1], SECONDS):
            return
    pytest.fail(f"medians of known and unknown addresses in seconds: {seen}")
