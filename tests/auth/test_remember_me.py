"""How long a session lives, with `remember_me` and without."""

from typing import Any

import pytest

from auth.sessions.lifetimes import SessionLifetimes
from tests.auth.accounts_app import A_DAY, Accounts
from tests.auth.conftest import MakeAccounts


def session_of(accounts: Accounts, remember: bool) -> str:
    accounts.register()
    token: str = accounts.sign_in(remember_me=remember).get_json()["refresh_token"]
    return token


def successor(accounts: Accounts, token: str) -> str:
    answer = accounts.refresh(token)
    assert answer.status_code == 200, answer.text
    following: str = answer.get_json()["refresh_token"]
    return following


@pytest.mark.parametrize(("remember", "idle"), [(False, {"minutes": 60}), (True, {"days": 30})])
def test_a_session_ends_when_it_is_not_used(accounts: Accounts, remember: bool, idle: dict[str, Any]) -> None:
    token = session_of(accounts, remember)
    accounts.clock.advance(**idle)
    accounts.clock.advance(seconds=-1)
    token = successor(accounts, token)
    accounts.clock.advance(**idle)
    assert accounts.refresh(token).status_code == 401


@pytest.mark.parametrize(("remember", "step", "steps"), [(False, 23, 7), (True, 29 * 24, 3)])
def test_a_session_ends_however_much_it_is_used(
    make_accounts: MakeAccounts, remember: bool, step: int, steps: int
) -> None:
    accounts, lifetimes = make_accounts(sessions=A_DAY), SessionLifetimes()
    token, start = session_of(accounts, remember), accounts.clock.now
    for _ in range(steps):
        accounts.clock.advance(hours=step)
        token = successor(accounts, token)
    accounts.clock.now = start + lifetimes.absolute_of(remember)
    accounts.clock.advance(seconds=-1)
    token = successor(accounts, token)
    accounts.clock.advance(seconds=1)
    assert accounts.refresh(token).status_code == 401


def test_the_access_token_of_a_session_that_ran_out_is_refused(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(sessions=A_DAY)
    token = session_of(accounts, remember=False)
    for _ in range(6):
        accounts.clock.advance(hours=23, minutes=59)
        token = successor(accounts, token)
    accounts.clock.advance(hours=23)
    access = accounts.refresh(token).get_json()["access_token"]
    accounts.clock.advance(hours=1, minutes=7)
    assert accounts.profile(access).status_code == 401
