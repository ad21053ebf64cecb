"""One-time codes: what is in a message is spent once, and nothing in the database says what it is."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from auth.email_codes.models import OneTimeCode
from auth.email_codes.one_time_codes import CODE_LIFETIME, CODE_TRIES, LINK_LIFETIMES, OneTimeCodes, Purpose
from database import transaction
from tests.auth.accounts_app import Accounts

Result = TypeVar("Result")
RESET = Purpose.RESET_PASSWORD


class Codes:
    """The codes of one user of these tests."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.user_id = UUID(accounts.register()["user"]["id"])

    @property
    def codes(self) -> OneTimeCodes:
        return self.accounts.auth.one_time_codes

    def within(self, work: Callable[[Session], Result]) -> Result:
        with self.accounts.app.app_context(), transaction() as session:
            return work(session)

    def begin(self, purpose: Purpose = RESET) -> UUID:
        now = self.accounts.clock()
        return self.within(lambda session: self.codes.begin(session, self.user_id, purpose, "alice@example.com", now))

    def spend_link(self, token: str, purpose: Purpose = RESET) -> UUID | None:
        now = self.accounts.clock()
        return self.within(lambda session: id_of(self.codes.spend_link(session, purpose, token, now)))

    def spend_digits(self, digits: str, purpose: Purpose = RESET) -> UUID | None:
        now = self.accounts.clock()
        return self.within(lambda session: id_of(self.codes.spend_digits(session, purpose, self.user_id, digits, now)))


def id_of(spent: OneTimeCode | None) -> UUID | None:
    return None if spent is None else spent.id


@pytest.fixture
def codes(accounts: Accounts) -> Codes:
    return Codes(accounts)


def wrong(digits: str) -> str:
    return f"{(int(digits) + 1) % 10**6:06}"


def test_a_link_works_once(codes: Codes) -> None:
    code_id = codes.begin()
    token = codes.codes.link_token(code_id, RESET)
    assert codes.spend_link(token) == code_id
    assert codes.spend_link(token) is None
    assert codes.spend_digits(codes.codes.digits(code_id, RESET)) is None


def test_the_digits_work_once(codes: Codes) -> None:
    digits = codes.codes.digits(codes.begin(), RESET)
    assert codes.spend_digits(digits) is not None
    assert codes.spend_digits(digits) is None


def test_of_ten_at_once_one_succeeds(codes: Codes) -> None:
    code_id = codes.begin()
    token, digits = codes.codes.link_token(code_id, RESET), codes.codes.digits(code_id, RESET)
    with ThreadPoolExecutor(10) as threads:
        taken = list(
            threads.map(lambda number: codes.spend_link(token) if number % 2 else codes.spend_digits(digits), range(10))
        )
    assert sum(each is not None for each in taken) == 1


def test_a_new_code_voids_the_one_before(codes: Codes) -> None:
    old = codes.begin()
    new = codes.begin()
    assert codes.spend_link(codes.codes.link_token(old, RESET)) is None
    assert codes.spend_link(codes.codes.link_token(new, RESET)) is not None


def test_after_five_wrong_tries_the_right_digits_are_refused_and_the_link_still_works(codes: Codes) -> None:
    code_id = codes.begin()
    digits = codes.codes.digits(code_id, RESET)
    assert [codes.spend_digits(wrong(digits)) for _ in range(CODE_TRIES)] == [None] * CODE_TRIES
    assert codes.spend_digits(digits) is None
    assert codes.spend_link(codes.codes.link_token(code_id, RESET)) is not None


def test_a_hundred_wrong_tries_at_once_count_as_tries(codes: Codes) -> None:
    digits = codes.codes.digits(codes.begin(), RESET)
    with ThreadPoolExecutor(10) as threads:
        assert set(threads.map(lambda _: codes.spend_digits(wrong(digits)), range(100))) == {None}
    assert codes.spend_digits(digits) is None
    assert codes.accounts.query("SELECT tries FROM one_time_codes WHERE purpose = 'reset_password'") == [(CODE_TRIES,)]


def test_each_form_runs_out_at_its_own_time(codes: Codes) -> None:
    code_id = codes.begin()
    codes.accounts.clock.now += CODE_LIFETIME
    assert codes.spend_digits(codes.codes.digits(code_id, RESET)) is None
    assert codes.spend_link(codes.codes.link_token(code_id, RESET)) is not None
    code_id = codes.begin()
    codes.accounts.clock.now += LINK_LIFETIMES[RESET]
    assert codes.spend_link(codes.codes.link_token(code_id, RESET)) is None


@pytest.mark.parametrize("text", ["", "ot_", "ot_" + "A" * 64, "ot_" + "=" * 64, "rt_" + "A" * 64, "x" * 5000])
def test_what_was_never_a_link_token_is_refused(codes: Codes, text: str) -> None:
    codes.begin()
    assert codes.spend_link(text) is None


def test_a_code_is_good_for_its_purpose_alone(codes: Codes) -> None:
    code_id = codes.begin(Purpose.VERIFY_EMAIL)
    assert codes.spend_link(codes.codes.link_token(code_id, Purpose.VERIFY_EMAIL), RESET) is None
    assert codes.spend_link(codes.codes.link_token(code_id, RESET), RESET) is None
    assert codes.spend_digits(codes.codes.digits(code_id, Purpose.VERIFY_EMAIL)) is None
    assert codes.spend_link(codes.codes.link_token(code_id, Purpose.VERIFY_EMAIL), Purpose.VERIFY_EMAIL) is not None
