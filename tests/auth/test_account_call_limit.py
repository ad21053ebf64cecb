"""Requests to `/api/auth` of somebody who is signed in: a limit of their own, beside the general one."""

from typing import Any

import pytest

from auth.tiers import Tier
from tests.auth.accounts_app import Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.key_holder import KeyHolder
from tests.auth.test_account_state import counted

GENERAL, ACCOUNT_CALLS = {Tier.FREE: 6}, {Tier.FREE: 2}


@pytest.fixture(params=["redis", "process"])
def accounts(request: pytest.FixtureRequest, make_accounts: MakeAccounts) -> Accounts:
    return limited(make_accounts, **({} if request.param == "redis" else {"redis_at": None}))


def limited(make_accounts: MakeAccounts, **more: Any) -> Accounts:
    made = make_accounts(requests_per_minute=GENERAL, account_calls_per_minute=ACCOUNT_CALLS, **more)
    made.clock.now = made.clock.now.replace(second=12, microsecond=0)
    return made


def test_the_request_after_the_last_one_waits_for_the_next_minute(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    answers = [accounts.profile(token) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"general";q=6;w=60, "auth";q=2;w=60'
    assert answers[1].headers["RateLimit"] == '"general";r=4;t=48, "auth";r=0;t=48'
    refused = answers[2]
    assert (refused.headers["RateLimit"], refused.headers["Retry-After"]) == ('"auth";r=0;t=48', "48")
    problem = refused.get_json()
    assert (problem["error"], problem["limited_by"], problem["violated-policies"]) == ("rate_limited", "plan", ["auth"])
    assert "2 requests to /api/auth a minute" in problem["message"]
    accounts.clock.advance(seconds=48)
    assert accounts.profile(token).status_code == 200


def test_what_else_is_asked_for_is_counted_apart(accounts: Accounts) -> None:
    alice = KeyHolder(accounts)  # signing in and the key's creation are one such request
    key = alice.key()["token"]
    assert [alice.use(key).status_code for _ in range(2)] == [200, 200]
    assert alice.use(key, "/tried/metered").status_code == 200
    assert accounts.profile(alice.access_token).status_code == 200
    assert accounts.profile(alice.access_token).get_json()["violated-policies"] == ["auth"]


def test_signing_in_and_out_is_not_counted(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    assert [accounts.profile(token).status_code for _ in range(3)] == [200, 200, 429]
    assert accounts.sign_in().status_code == 200
    assert accounts.post("/logout", headers=bearer(token)).status_code == 204


def test_it_costs_no_trip_of_its_own(make_accounts: MakeAccounts) -> None:
    accounts = limited(make_accounts)
    token = accounts.register()["access_token"]
    accounts.profile(token)
    guard = accounts.auth.of_account_calls.signed_in
    with counted(accounts) as counts, accounts.app.test_request_context(headers=bearer(token)):
        guard.admit()
    assert counts == {"redis": 4, "postgres": 0}, "one script and the three commands in it"
