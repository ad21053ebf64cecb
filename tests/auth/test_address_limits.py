"""How often one address may try."""

import secrets
from typing import Any

from auth.address_limits import AuthLimits, network_of
from sandbox.valkey import EmbeddedValkey
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts


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


def test_two_applications_share_one_count(make_accounts: MakeAccounts) -> None:
    one, other = make_accounts(limits=AuthLimits()), make_accounts(limits=AuthLimits())
    statuses = [sign_in_from(accounts, "192.0.2.1").status_code for accounts in [one, other] * 11]
    assert statuses == [401] * 20 + [429] * 2


def test_without_redis_the_limit_holds_in_this_process(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(redis_at=None, limits=AuthLimits())
    statuses = [sign_in_from(accounts, "192.0.2.1").status_code for _ in range(22)]
    assert statuses == [401] * 20 + [429] * 2


def test_when_redis_dies_the_limit_goes_on_in_this_process(
    make_accounts: MakeAccounts, own_valkey: EmbeddedValkey
) -> None:
    accounts = make_accounts(redis_at=own_valkey.url, limits=AuthLimits())
    assert sign_in_from(accounts, "192.0.2.1").status_code == 401
    own_valkey.kill()
    statuses = [sign_in_from(accounts, "192.0.2.1").status_code for _ in range(22)]
    assert statuses == [401] * 20 + [429] * 2
    assert accounts.leases.failures == 1


def test_signing_out_is_limited_too(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits(refresh=AuthLimits().sign_in))
    statuses = [accounts.post("/logout", headers=bearer("x")).status_code for _ in range(21)]
    assert statuses == [401] * 20 + [429]


def test_networks() -> None:
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::"
