"""Tries of a password on one account: a guesser waits, and the owner gets in."""

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from werkzeug.test import TestResponse

from auth.accounts.close import AccountNotClosing, restore_account
from auth.accounts.register import register
from auth.assembly import Auth
from auth.bodies import RegisterBody, SignInBody
from auth.device import Device
from auth.email_address import parse_email
from auth.password_hashing.bcrypt_hash import Passwords
from auth.password_hashing.worker_pool import PasswordWork, PasswordWorkBusy
from auth.passwords.change import change_password, reauthenticate
from auth.passwords.sign_in import sign_in
from auth.principal import Principal
from auth.rate_limits.by_account import KNOWN_DEVICE, STRANGERS
from auth.sessions.known_devices import DEVICES_PER_USER
from auth.tiers import Tier
from sandbox.valkey import EmbeddedValkey
from tests.auth.accounts_app import GENEROUS, PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts
from tests.metric_values import rising

THROTTLED = replace(GENEROUS, strangers=STRANGERS, known_devices=KNOWN_DEVICE)


@pytest.fixture
def accounts(make_accounts: MakeAccounts) -> Accounts:
    return make_accounts(limits=THROTTLED)


def guess(accounts: Accounts, email: str = "alice@example.com", **more: Any) -> TestResponse:
    return accounts.sign_in(email, f"wrong {secrets.token_hex(8)}", **more)


def from_address(accounts: Accounts, address: str) -> int:
    body = {"email": "alice@example.com", "password": f"wrong {secrets.token_hex(8)}"}
    return accounts.post("/login", body, environ_overrides={"REMOTE_ADDR": address}).status_code


@pytest.mark.parametrize("with_redis", [True, False])
def test_a_guesser_has_five_tries_and_then_waits(make_accounts: MakeAccounts, redis_url: str, with_redis: bool) -> None:
    accounts = make_accounts(redis_at=redis_url if with_redis else None, limits=THROTTLED)
    accounts.register()
    assert [guess(accounts).status_code for _ in range(7)] == [401] * 5 + [429] * 2
    refused = guess(accounts)
    assert refused.get_json()["error"] == "too_many_requests"
    assert int(refused.headers["Retry-After"]) >= 1


def test_an_unknown_account_is_refused_alike(accounts: Accounts) -> None:
    accounts.register()
    known = [guess(accounts) for _ in range(7)]
    unknown = [guess(accounts, "nobody@example.com") for _ in range(7)]
    assert [answer.status_code for answer in known] == [answer.status_code for answer in unknown]
    members = [
        [{**answer.get_json(), "request_id": "", "instance": ""} for answer in answers] for answers in (known, unknown)
    ]
    assert members[0] == members[1]


def test_a_hundred_addresses_share_the_tries_of_one_account(accounts: Accounts) -> None:
    accounts.register()
    statuses = [from_address(accounts, f"198.51.100.{number}") for number in range(100)]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 95


def test_a_hundred_tries_at_once_are_no_more_than_five(accounts: Accounts) -> None:
    accounts.register()
    start = threading.Barrier(25)

    def attack(_: int) -> list[int]:
        start.wait()
        return [guess(accounts).status_code for _ in range(4)]

    with ThreadPoolExecutor(25) as pool:
        statuses = [status for found in pool.map(attack, range(25)) for status in found]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 95


def test_the_owner_on_a_known_device_gets_in_during_an_attack(accounts: Accounts) -> None:
    device_token = accounts.register()["device_token"]
    for number in range(20):
        from_address(accounts, f"198.51.100.{number}")
    assert accounts.sign_in().status_code == 429
    answer = accounts.sign_in(device_token=device_token)
    assert answer.status_code == 200
    assert answer.get_json()["device_token"] is None


def test_a_known_device_has_ten_tries_of_its_own(accounts: Accounts) -> None:
    device_token = accounts.register()["device_token"]
    statuses = [guess(accounts, device_token=device_token).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


def test_the_device_of_one_user_is_a_stranger_to_another(accounts: Accounts) -> None:
    accounts.register()
    mallory = accounts.register("mallory@example.com")["device_token"]
    statuses = [guess(accounts, device_token=mallory).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2


def test_a_right_password_takes_the_count_away(accounts: Accounts) -> None:
    accounts.register()
    for _ in range(3):
        for _ in range(4):
            assert guess(accounts).status_code == 401
        assert accounts.sign_in().status_code == 200


def test_the_token_of_a_device_is_stored_as_a_hash_and_devices_are_bounded(accounts: Accounts) -> None:
    accounts.register()
    tokens = [accounts.sign_in().get_json()["device_token"] for _ in range(DEVICES_PER_USER + 3)]
    stored = [bytes(row[0]) for row in accounts.query("SELECT token_hash FROM known_devices")]
    assert len(stored) == DEVICES_PER_USER
    assert not {token.encode() for token in tokens} & set(stored)
    assert accounts.sign_in(device_token=tokens[0]).get_json()["device_token"] is not None
    assert accounts.sign_in(device_token=tokens[-1]).get_json()["device_token"] is None


def test_when_redis_dies_the_count_goes_on_in_this_process(
    make_accounts: MakeAccounts, own_valkey: EmbeddedValkey
) -> None:
    accounts = make_accounts(redis_at=own_valkey.url, limits=THROTTLED)
    accounts.register()
    assert guess(accounts).status_code == 401
    own_valkey.kill()
    assert [guess(accounts).status_code for _ in range(7)] == [401] * 5 + [429] * 2


def test_the_address_is_not_in_redis(accounts: Accounts) -> None:
    accounts.register()
    guess(accounts)
    keys = b" ".join(bytes(key) for key in accounts.redis_client.scan_iter())
    assert b"tries:" in keys
    assert b"alice" not in keys


def test_an_hour_has_twenty_tries(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, strangers=(RateLimitItemPerMinute(1_000), STRANGERS[1])))
    accounts.register()
    with rising(
        mirroros_sign_ins_total={'method="password",outcome="failed"': 20},
        mirroros_lockouts_total={'what="password"': 1},
    ):
        assert [guess(accounts).status_code for _ in range(21)] == [401] * 20 + [429]


def test_what_the_shorter_limit_refuses_is_none_of_the_tries_of_an_hour(accounts: Accounts) -> None:
    accounts.register()
    for _ in range(9):
        guess(accounts)
    assert accounts.auth.throttle.tries(ALICE, None) == 5


def test_a_storm_of_strangers_leaves_a_known_device_its_share(accounts: Accounts) -> None:
    accounts.register()
    token = accounts.sign_in().get_json()["device_token"]
    work = PasswordWork(threads=1, waiting_limit=0)
    full = replace(accounts.auth, passwords=Passwords(work, cost=4))
    release, started = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        assert release.wait(30)

    def sign_in_with(token: str | None) -> None:
        body = SignInBody(email="alice@example.com", password=PASSWORD, device_token=token)
        sign_in(full, body, Device("phone", "192.0.2.1"))

    with ThreadPoolExecutor(1) as other, accounts.app.app_context():
        storm = other.submit(work.run, hold)
        assert started.wait(30)
        for stranger in (None, "dt_unknown"):
            with pytest.raises(PasswordWorkBusy):
                sign_in_with(stranger)
        sign_in_with(token)
        release.set()
        storm.result(30)


ALICE, PHONE = parse_email("alice@example.com"), Device("phone", "192.0.2.1")
SIGN_IN = SignInBody(email="alice@example.com", password=PASSWORD)
REGISTER = RegisterBody(email="bob@example.com", password=PASSWORD)


def restored(auth: Auth, _caller: Principal) -> None:
    with suppress(AccountNotClosing):
        restore_account(auth, ALICE, PASSWORD)


@pytest.mark.parametrize(
    "work_of",
    [
        pytest.param(lambda auth, _: sign_in(auth, SIGN_IN, PHONE), id="sign in"),
        pytest.param(restored, id="restore"),
        pytest.param(lambda auth, caller: reauthenticate(auth, caller, PASSWORD), id="reauthenticate"),
        pytest.param(lambda auth, caller: change_password(auth, caller, PASSWORD, f"new {PASSWORD}"), id="change"),
        pytest.param(lambda auth, _: register(auth, REGISTER, PHONE), id="register"),
    ],
)
def test_what_is_too_many_at_once_costs_no_try(
    make_accounts: MakeAccounts, work_of: Callable[[Auth, Principal], object]
) -> None:
    """A try is taken from no count before there is a thread to judge it."""
    accounts = make_accounts(limits=replace(THROTTLED, register_of_one_email=RateLimitItemPerHour(3)))
    claims = accounts.auth.access_tokens.verify(accounts.register()["access_token"])
    caller = Principal(claims.user_id, claims.session_id, Tier.FREE, None)
    work = PasswordWork(threads=1, waiting_limit=0)
    full = replace(accounts.auth, passwords=Passwords(work, cost=4))
    release, started = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        assert release.wait(10)

    with ThreadPoolExecutor(1) as other, accounts.app.test_request_context():
        busy = other.submit(work.run, hold)
        assert started.wait(10)
        for _ in range(12):
            with pytest.raises(PasswordWorkBusy):
                work_of(full, caller)
        release.set()
        busy.result(10)
        work_of(accounts.auth, caller)


def test_a_right_password_is_forgotten_as_a_try_also_where_the_account_is_switched_off(accounts: Accounts) -> None:
    accounts.register()
    accounts.query("UPDATE users SET is_active = false")
    assert {accounts.sign_in().status_code for _ in range(7)} == {403}
