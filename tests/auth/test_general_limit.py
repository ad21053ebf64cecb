"""The general limit: so many requests a minute of a signed-in user, whatever they are for."""

from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from auth.account_change import account_change
from auth.tiers import Tier
from config import PLANS
from tests.auth.accounts_app import Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.key_holder import KeyHolder
from tests.auth.test_account_state import counted

LIMITS = {Tier.FREE: 3, Tier.PRO: 6, Tier.ENTERPRISE: 9}


@pytest.fixture(params=["redis", "process"])
def accounts(request: pytest.FixtureRequest, make_accounts: MakeAccounts) -> Accounts:
    return limited(make_accounts, **({} if request.param == "redis" else {"redis_at": None}))


def limited(make_accounts: MakeAccounts, **more: Any) -> Accounts:
    """At the beginning of a minute."""
    made = make_accounts(requests_per_minute=LIMITS, **more)
    made.clock.now = made.clock.now.replace(second=0, microsecond=0)
    return made


def statuses(accounts: Accounts, token: str, times: int) -> list[int]:
    return [accounts.profile(token).status_code for _ in range(times)]


def refused(answer: TestResponse) -> bool:
    return (answer.status_code, answer.get_json().get("error")) == (429, "rate_limited")


def now_of_tier(accounts: Accounts, user_id: str, tier: str) -> None:
    accounts.query(f"UPDATE users SET tier = '{tier}' WHERE id = '{user_id}'")
    with accounts.app.app_context(), account_change(accounts.auth.states, accounts.clock()) as change:
        change.permission_changed(UUID(user_id))


def test_the_request_after_the_last_one_waits_for_the_next_minute(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    accounts.clock.advance(seconds=12)
    assert statuses(accounts, token, 3) == [200] * 3
    answer = accounts.profile(token)
    assert refused(answer)
    assert answer.headers["Retry-After"] == "48"
    assert answer.headers["RateLimit-Policy"] == '"general";q=3;w=60'
    assert answer.headers["RateLimit"] == '"general";r=0;t=48'
    assert answer.get_json()["violated-policies"] == ["general"]
    assert "48 seconds" in answer.get_json()["message"]
    accounts.clock.advance(seconds=48)
    assert accounts.profile(token).status_code == 200


def test_each_tier_has_its_own_number(accounts: Accounts) -> None:
    signed_in = accounts.register()
    now_of_tier(accounts, signed_in["user"]["id"], "pro")
    assert statuses(accounts, signed_in["access_token"], 7) == [200] * 6 + [429]


def test_sessions_and_keys_of_one_user_count_together_and_others_apart(accounts: Accounts) -> None:
    alice = KeyHolder(accounts)
    key = alice.key()["token"]
    assert alice.use(key).status_code == 200
    assert alice.use(key, "/tried/metered").status_code == 200
    assert refused(alice.use(key))
    assert refused(alice.use(key, "/tried/metered"))
    assert refused(accounts.profile(alice.access_token))
    assert accounts.profile(accounts.register("bob@example.com")["access_token"]).status_code == 200


def test_what_needs_no_sign_in_is_not_touched(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    statuses(accounts, token, 4)
    assert accounts.sign_in().status_code == 200


def test_who_holds_an_ended_session_does_not_use_up_its_owners_minute(accounts: Accounts) -> None:
    stolen = accounts.register()["access_token"]
    own = accounts.sign_in().get_json()["access_token"]
    assert accounts.post("/logout", headers=bearer(stolen)).status_code == 204
    assert statuses(accounts, stolen, 5) == [401] * 5
    assert accounts.profile(own).status_code == 200


def test_who_is_over_it_costs_nothing_more(make_accounts: MakeAccounts) -> None:
    accounts = limited(make_accounts)
    token = accounts.register()["access_token"]
    statuses(accounts, token, 4)
    with counted(accounts) as counts:
        answer = accounts.client.patch("/api/auth/profile", data=b"{", headers=bearer(token))
        assert refused(answer), "before the body is read"
    assert counts == {"redis": 0, "postgres": 0}


def test_a_warm_account_still_costs_one_redis_trip_and_no_query(make_accounts: MakeAccounts) -> None:
    accounts = limited(make_accounts)
    token = accounts.register()["access_token"]
    statuses(accounts, token, 1)
    with counted(accounts) as counts, accounts.app.test_request_context(headers=bearer(token)):
        accounts.auth.signed_in.admit()
    assert counts == {"redis": 3, "postgres": 0}, "one script and the two commands in it"


def test_when_redis_fails_the_process_counts(make_accounts: MakeAccounts) -> None:
    accounts = limited(make_accounts)
    token = accounts.register()["access_token"]
    statuses(accounts, token, 2)
    accounts.redis.failed()
    assert statuses(accounts, token, 4) == [200] * 3 + [429]


def test_two_processes_count_together(make_accounts: MakeAccounts) -> None:
    accounts = limited(make_accounts)
    token = accounts.register()["access_token"]
    assert statuses(accounts, token, 2) == [200, 200]
    other = limited(make_accounts)
    user_id = accounts.auth.access_tokens.verify(token).user_id
    key = other.auth.states.general.key(user_id)
    assert accounts.redis_client.get(key) == b"2"
    assert 0 < accounts.redis_client.ttl(key) <= 120


@pytest.mark.parametrize(("tier", "requests"), [("free", 60), ("team", 1000)])
def test_the_plans_that_are_sold_allow_so_many(make_accounts: MakeAccounts, tier: str, requests: int) -> None:
    sold = {tier: plan.requests_per_minute for tier, plan in PLANS.items()}
    accounts = make_accounts(requests_per_minute=sold)
    accounts.clock.now = accounts.clock.now.replace(second=12, microsecond=0)
    signed_in = accounts.register()
    now_of_tier(accounts, signed_in["user"]["id"], tier)
    key = accounts.auth.states.general.key(UUID(signed_in["user"]["id"]))
    accounts.redis_client.set(key, requests - 2)
    last = [accounts.profile(signed_in["access_token"]) for _ in range(3)]
    assert [answer.status_code for answer in last] == [200, 200, 429]
    assert [answer.headers["RateLimit"] for answer in last] == [f'"general";r={left};t=48' for left in (1, 0, 0)]
    assert (last[2].headers["Retry-After"], last[2].get_json()["limited_by"]) == ("48", "plan")
