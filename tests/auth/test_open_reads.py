"""What can be read without an account: strangers are counted by network address, callers who signed in by their plan."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Blueprint
from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from werkzeug.test import TestResponse

from auth.principal import Caller
from auth.rate_limits.by_address import AuthLimits
from auth.tiers import Tier
from security.api.models import AnswerBody
from security.api.openapi import openapi_document
from security.api.operation import OPERATIONS_KEY, Answer, operation
from tests.auth.accounts_app import GENEROUS, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.key_holder import HERE, KeyHolder
from tests.toy_api import TOY_DESCRIPTION


class WhoAnswer(AnswerBody):
    user_id: UUID | None


@pytest.fixture
def accounts(make_accounts: MakeAccounts) -> Accounts:
    return with_open_reads(make_accounts, 5)


def with_open_reads(make_accounts: MakeAccounts, limit: int, **changes: Any) -> Accounts:
    accounts = make_accounts(
        limits=replace(GENEROUS, open_reads=RateLimitItemPerHour(limit)),
        requests_per_minute=dict.fromkeys(Tier, 10),
        **changes,
    )
    accounts.clock.now = accounts.clock.now.replace(second=0, microsecond=0)
    routes = Blueprint("toy", __name__)

    @operation(
        routes,
        "GET",
        "/open",
        operation_id="getWho",
        summary="Say who calls",
        guard=accounts.auth.anyone_or_signed_in("it is a test", "predict"),
        answers={200: WhoAnswer},
    )
    def who(caller: Caller | None) -> Answer:
        return Answer(200, WhoAnswer(user_id=None if caller is None else caller.user_id))

    accounts.app.register_blueprint(routes)
    return accounts


def read(accounts: Accounts, token: str | None = None, address: str = HERE, **headers: str) -> TestResponse:
    headers = headers if token is None else {**headers, **bearer(token)}
    return accounts.client.get("/open", headers=headers, environ_overrides={"REMOTE_ADDR": address})


def test_a_stranger_may_read_100_times_a_minute() -> None:
    assert AuthLimits().open_reads == RateLimitItemPerMinute(100)


def test_a_stranger_who_read_too_often_holds_up_nobody_else(accounts: Accounts) -> None:
    assert [read(accounts).status_code for _ in range(5)] == [200] * 5
    refused = read(accounts)
    assert (refused.status_code, refused.get_json()["error"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 3601
    assert refused.get_json()["detail"].startswith("At most 5 requests from one network address within 60 minutes.")
    assert read(accounts, address="192.0.2.2").get_json() == {"user_id": None}
    alice = KeyHolder(accounts)
    assert read(accounts, alice.access_token).get_json() == {"user_id": alice.user_id}


def test_processes_count_together_from_a_tenth_of_the_limit_on(make_accounts: MakeAccounts) -> None:
    """Of what is less Redis knows nothing."""
    one, other = (with_open_reads(make_accounts, 40) for _ in range(2))
    assert [read(one).status_code for _ in range(4)] == [200] * 4
    assert one.redis_client.keys("mos:open_reads:*") == []
    assert [read(process).status_code for process in (one, other) * 18] == [200] * 36
    assert {read(one).status_code, read(other).status_code} == {429}
    assert read(other, address="192.0.2.2").status_code == 200


def test_many_networks_of_one_site_are_counted_together(make_accounts: MakeAccounts) -> None:
    accounts = with_open_reads(make_accounts, 4)
    statuses = [read(accounts, address=f"2001:db8:1:{number}::1").status_code for number in range(21)]
    assert statuses == [200] * 20 + [429]
    assert read(accounts, address="2001:db8:2::1").status_code == 200


def test_without_redis_each_process_counts_alone(make_accounts: MakeAccounts) -> None:
    accounts = with_open_reads(make_accounts, 5, redis_at=None)
    assert [read(accounts).status_code for _ in range(6)] == [200] * 5 + [429]


def test_whoever_signed_in_has_the_limit_of_the_plan(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    assert [read(accounts, token).status_code for _ in range(11)] == [200] * 10 + [429]
    assert read(accounts, token).get_json()["error"] == "rate_limited"
    assert read(accounts).status_code == 200


def test_a_key_with_the_scope_may_call_and_another_may_not(accounts: Accounts) -> None:
    alice = KeyHolder(accounts)
    assert read(accounts, alice.key(scopes=["predict"])["token"]).get_json() == {"user_id": alice.user_id}
    assert read(accounts, alice.key(scopes=["usage"])["token"]).status_code == 403


@pytest.mark.parametrize(("header", "status"), [("Bearer x", 401), ("Bearer ", 401), ("Basic eDp5", 200)])
def test_a_token_that_is_not_valid_is_refused(accounts: Accounts, header: str, status: int) -> None:
    assert read(accounts, Authorization=header).status_code == status


def test_the_document_says_that_a_sign_in_is_possible_and_not_needed(accounts: Accounts) -> None:
    declared = {"toy.getWho": accounts.app.extensions[OPERATIONS_KEY]["toy.getWho"]}
    described = openapi_document(declared, TOY_DESCRIPTION)["paths"]["/open"]["get"]
    assert described["security"] == [{}, {"bearer": []}, {"apiKey": []}]
    assert {"401", "403", "429"} <= described["responses"].keys()
