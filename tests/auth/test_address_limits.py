"""How often one address may try."""

import re
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from limits import RateLimitItemPerDay, RateLimitItemPerHour

from auth.rate_limits.by_address import AuthLimits, networks_of
from auth.tokens.refresh_token import RefreshTokens, read_refresh_token
from sandbox.valkey import EmbeddedValkey
from tests.auth.accounts_app import GENEROUS, PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts

THREE = RateLimitItemPerHour(3)
TWENTY_A_DAY = AuthLimits(sign_in=RateLimitItemPerDay(20))


def sign_in_from(accounts: Accounts, address: str) -> Any:
    """Each time on another account, because an account counts tries as well."""
    body = {"email": f"{secrets.token_hex(8)}@example.com", "password": PASSWORD}
    return accounts.post("/login", body, environ_overrides={"REMOTE_ADDR": address})


def test_one_password_tried_on_many_accounts_from_one_address_is_stopped(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits())
    statuses = [sign_in_from(accounts, "192.0.2.1").status_code for _ in range(25)]
    assert statuses == [401] * 20 + [429] * 5
    refused = sign_in_from(accounts, "192.0.2.1")
    assert refused.get_json()["error"] == "too_many_requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    said = refused.get_json()["detail"]
    assert re.fullmatch(
        "At most 20 tries from one network address within 60 seconds. Try again in [0-9]+ seconds?",
        said,
    )


def test_another_address_and_another_route_are_counted_apart(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits())
    for _ in range(21):
        sign_in_from(accounts, "192.0.2.1")
    assert sign_in_from(accounts, "192.0.2.2").status_code == 401
    here = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.1"}}
    assert accounts.post("/refresh", {"refresh_token": "rt_x"}, **here).status_code == 401
    answer = accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD}, **here)
    assert answer.status_code == 201
    assert accounts.profile(answer.get_json()["access_token"]).status_code == 200


def test_registrations_are_limited_even_when_they_fail(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits())
    statuses = [accounts.post("/register", {"email": "x"}).status_code for _ in range(7)]
    assert statuses == [422] * 5 + [429] * 2


def test_the_addresses_of_one_ipv6_network_count_as_one(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits())
    for number in range(20):
        assert sign_in_from(accounts, f"2001:db8:1:2::{number:x}").status_code == 401
    assert sign_in_from(accounts, "2001:db8:1:2:ffff::1").status_code == 429
    assert sign_in_from(accounts, "2001:db8:1:3::1").status_code == 401


def test_walking_through_a_site_of_ipv6_is_stopped(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, sign_in=THREE, register=THREE))
    statuses = [sign_in_from(accounts, f"2001:db8:1:{number:x}::1").status_code for number in range(17)]
    assert statuses == [401] * 15 + [429] * 2
    assert sign_in_from(accounts, "2001:db8:2::1").status_code == 401
    statuses = []
    for number in range(8):
        body = {"email": f"alice{number}@example.com", "password": PASSWORD}
        here = {"REMOTE_ADDR": f"2001:db8:1:{number:x}::1"}
        statuses.append(accounts.post("/register", body, environ_overrides=here).status_code)
    assert statuses == [201] * 6 + [429] * 2


def test_two_applications_share_one_count(make_accounts: MakeAccounts) -> None:
    one, other = make_accounts(limits=AuthLimits()), make_accounts(limits=AuthLimits())
    statuses = [sign_in_from(accounts, "192.0.2.1").status_code for accounts in [one, other] * 11]
    assert statuses == [401] * 20 + [429] * 2


def test_without_redis_the_limit_holds_in_this_process(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(redis_at=None, limits=TWENTY_A_DAY)
    statuses = [sign_in_from(accounts, "192.0.2.1").status_code for _ in range(22)]
    assert statuses == [401] * 20 + [429] * 2


def test_when_redis_dies_the_limit_goes_on_in_this_process(
    make_accounts: MakeAccounts, own_valkey: EmbeddedValkey
) -> None:
    accounts = make_accounts(redis_at=own_valkey.url, limits=TWENTY_A_DAY)
    assert sign_in_from(accounts, "192.0.2.1").status_code == 401
    own_valkey.kill()
    statuses = [sign_in_from(accounts, "192.0.2.1").status_code for _ in range(22)]
    assert statuses == [401] * 20 + [429] * 2
    assert accounts.redis.client() is None


def test_signing_out_is_limited_too(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits(refresh=AuthLimits().sign_in))
    statuses = [accounts.post("/logout", headers=bearer("x")).status_code for _ in range(21)]
    assert statuses == [401] * 20 + [429]


def test_an_hour_has_fewer_sign_ins_than_its_minutes(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, sign_in_hourly=RateLimitItemPerHour(3)))
    answers = [sign_in_from(accounts, "192.0.2.1") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert int(answers[-1].headers["Retry-After"]) > 60
    assert sign_in_from(accounts, "192.0.2.2").status_code == 401


def test_a_day_has_fewer_registrations_than_its_hours(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, register_daily=RateLimitItemPerDay(3)))
    statuses = [accounts.post("/register", {"email": "x"}).status_code for _ in range(4)]
    assert statuses == [422, 422, 422, 429]


@pytest.mark.parametrize("registered", [True, False])
def test_one_email_address_is_registered_three_times_an_hour_whether_or_not_it_has_an_account(
    make_accounts: MakeAccounts, registered: bool
) -> None:
    """Also row 61: a mailbox is not flooded by registering it again and again."""
    accounts = make_accounts(registration_response="private", limits=replace(GENEROUS, register_of_one_email=THREE))
    if registered:
        accounts.query(
            "INSERT INTO users (id, email, email_key, created_at, updated_at) VALUES"
            " (gen_random_uuid(), 'alice@example.com', 'alice@example.com', now(), now())"
        )
    tries = [accounts.post("/register", {"email": "Alice@example.com", "password": PASSWORD}) for _ in range(4)]
    assert [answer.status_code for answer in tries] == [202, 202, 202, 429]
    other = accounts.post("/register", {"email": "bob@example.com", "password": PASSWORD})
    assert other.status_code == 202


def test_a_password_that_was_refused_costs_no_registration(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, register_of_one_email=RateLimitItemPerHour(1)))
    for _ in range(3):
        assert accounts.post("/register", {"email": "alice@example.com", "password": "password"}).status_code == 422
    assert accounts.register()["user"]["email"] == "alice@example.com"


def test_the_address_of_a_registration_is_not_in_redis(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits())
    accounts.register()
    assert not any(b"alice" in key for key in accounts.redis_client.scan_iter())


def test_one_session_refreshes_so_often_a_minute_and_a_refused_token_is_still_good(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, refresh_of_one_session=THREE), refresh_grace=timedelta(0))
    alice, bob = accounts.register(), accounts.register("bob@example.com")
    token = alice["refresh_token"]
    for _ in range(3):
        token = accounts.refresh(token).get_json()["refresh_token"]
    assert accounts.refresh(token).status_code == 429
    assert accounts.refresh(bob["refresh_token"]).status_code == 200
    accounts.redis_client.flushall()  # as when the minute is over
    assert accounts.refresh(token).status_code == 200


def test_a_forger_uses_up_nobodys_refreshes(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, refresh_of_one_session=THREE))
    token = accounts.register()["refresh_token"]
    presented = read_refresh_token(token)
    assert presented is not None
    forged = RefreshTokens(secrets.token_bytes(32)).issue(presented.session_id, 0, secrets.token_bytes(32))
    assert [accounts.refresh(forged).status_code for _ in range(5)] == [401] * 5
    assert accounts.refresh(token).status_code == 200


def test_networks() -> None:
    assert networks_of("192.0.2.1", 5) == [("192.0.2.1", 1)]
    assert networks_of("2001:db8:1:2:3:4:5:6", 5) == [("2001:db8:1:2::/64", 1), ("2001:db8:1::/48", 5)]
