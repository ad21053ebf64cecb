"""POST /api/auth/login"""

import secrets
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bcrypt
import pytest

from tests.auth.accounts_app import PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts
from tests.metric_values import rising

WRONG = f"wrong {secrets.token_hex(8)}"


def test_the_right_password_gives_tokens_that_work(accounts: Accounts) -> None:
    accounts.register()
    with rising(
        mirroros_sign_ins_total={'method="password",outcome="ok"': 1},
        mirroros_security_events_total={'event="signed_in"': 1},
    ):
        answer = accounts.sign_in("Alice@EXAMPLE.com")
    assert answer.status_code == 200
    assert accounts.profile(answer.get_json()["access_token"]).status_code == 200


def test_a_sign_in_is_a_new_session_and_ends_no_other(accounts: Accounts) -> None:
    first = accounts.register()
    second = accounts.sign_in().get_json()
    assert first["refresh_token"] != second["refresh_token"]
    assert accounts.query("SELECT count(DISTINCT id) FROM sessions WHERE revoked_at IS NULL") == [(2,)]
    assert accounts.profile(first["access_token"]).status_code == 200


def test_unknown_wrong_and_switched_off_are_answered_alike(accounts: Accounts) -> None:
    accounts.register("alice@example.com")
    accounts.register("bob@example.com")
    accounts.query("UPDATE users SET is_active = false WHERE email_key = 'bob@example.com'")
    accounts.register("carol@example.com")
    accounts.query("UPDATE users SET password_hash = NULL WHERE email_key = 'carol@example.com'")
    names = ["alice", "bob", "carol", "nobody"]
    answers = [
        accounts.post(
            "/login",
            {"email": f"{name}@example.com", "password": WRONG},
            headers={"X-Request-ID": "same-for-all-of-them"},
        )
        for name in names
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1
    assert len({tuple(answer.headers) for answer in answers}) == 1
    assert answers[0].get_json()["error"] == "invalid_credentials"
    assert answers[0].headers["WWW-Authenticate"].startswith("Bearer")


def test_only_who_knows_the_password_hears_that_the_account_is_switched_off(accounts: Accounts) -> None:
    accounts.register()
    accounts.query("UPDATE users SET is_active = false")
    answer = accounts.sign_in()
    assert answer.status_code == 403
    assert answer.get_json()["error"] == "account_disabled"


@pytest.mark.parametrize("stored", ["", "x", "mo2$", "mo2$9$$2b$04$" + "a" * 53, "$2b$04$short", "$2b$99$" + "a" * 53])
def test_a_stored_hash_that_cannot_be_read_is_a_wrong_password_and_an_alarm(
    accounts: Accounts, security_events: list[Any], stored: str
) -> None:
    accounts.register()
    accounts.query("UPDATE users SET password_hash = :stored", stored=stored)
    assert accounts.sign_in().status_code == 401
    assert "stored_password_unreadable" in [event["event"] for event in security_events]


def test_a_bare_bcrypt_hash_of_an_earlier_system_is_accepted_and_replaced(accounts: Accounts) -> None:
    password = "legacy " + secrets.token_urlsafe(80)
    accounts.register(password=password)
    legacy = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    accounts.query("UPDATE users SET password_hash = :legacy", legacy=legacy)
    assert accounts.sign_in(password=password).status_code == 200
    [(stored,)] = accounts.query("SELECT password_hash FROM users")
    assert stored.startswith("mo2$0$")
    assert accounts.sign_in(password=password).status_code == 200
    assert accounts.sign_in(password=password[:72]).status_code == 401


def test_a_hash_of_another_cost_is_replaced(accounts: Accounts, make_accounts: MakeAccounts) -> None:
    accounts.register()
    costlier = make_accounts(bcrypt_cost=5)
    assert costlier.sign_in().status_code == 200
    [(stored,)] = accounts.query("SELECT password_hash FROM users")
    assert stored.startswith("mo2$0$$2b$05$")


def test_sign_ins_that_replace_one_hash_at_once_all_succeed(accounts: Accounts) -> None:
    accounts.register()
    legacy = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    accounts.query("UPDATE users SET password_hash = :legacy", legacy=legacy)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: accounts.sign_in().status_code, range(8)))
    assert answers == [200] * 8


@pytest.mark.parametrize(("remember", "days"), [(False, 7), (True, 90)])
def test_remember_me_decides_how_long_the_session_lives(accounts: Accounts, remember: bool, days: int) -> None:
    accounts.register()
    accounts.sign_in(remember_me=remember)
    [(lifetime,)] = accounts.query("SELECT expires_at - created_at FROM sessions ORDER BY id DESC LIMIT 1")
    assert lifetime.days == days


def test_the_twenty_first_session_ends_the_one_unused_longest(accounts: Accounts) -> None:
    first = accounts.register()
    second = accounts.sign_in().get_json()
    accounts.clock.advance(seconds=1)
    first = accounts.refresh(first["refresh_token"]).get_json()
    for _ in range(19):
        assert accounts.sign_in().status_code == 200
    assert accounts.profile(first["access_token"]).status_code == 200
    assert accounts.profile(second["access_token"]).status_code == 401
    assert accounts.refresh(second["refresh_token"]).status_code == 401
    assert accounts.query("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == [(20,)]


def test_parallel_sign_ins_never_exceed_the_sessions_a_user_may_have(accounts: Accounts) -> None:
    accounts.register()
    with ThreadPoolExecutor(10) as threads:
        assert set(threads.map(lambda _: accounts.sign_in().status_code, range(30))) == {200}
    assert accounts.query("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == [(20,)]


def test_a_user_agent_is_stored_short_and_harmless(accounts: Accounts) -> None:
    accounts.register()
    body = {"email": "alice@example.com", "password": PASSWORD}
    accounts.post("/login", body, headers={"User-Agent": "app\x1b[31m" + "x" * 8000})
    [(stored,)] = accounts.query("SELECT user_agent FROM sessions ORDER BY id DESC LIMIT 1")
    assert len(stored) == 256
    assert stored.startswith("app?[31m")


def test_a_sign_in_takes_no_unknown_field(accounts: Accounts) -> None:
    assert accounts.sign_in(otp="123456").status_code == 422


@pytest.mark.slow
def test_the_time_of_a_sign_in_does_not_tell_whether_the_account_exists(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(bcrypt_cost=8)
    accounts.register("alice@example.com")
    accounts.register("bob@example.com")
    accounts.query("UPDATE users SET is_active = false WHERE email_key = 'bob@example.com'")
    accounts.register("carol@example.com")
    accounts.query("UPDATE users SET password_hash = NULL WHERE email_key = 'carol@example.com'")
    samples: dict[str, list[float]] = {name: [] for name in ("alice", "bob", "carol", "nobody")}
    for _ in range(200):
        for name, times in samples.items():
            started = time.perf_counter()
            assert accounts.sign_in(f"{name}@example.com", WRONG).status_code == 401
            times.append(time.perf_counter() - started)
    medians = [statistics.median(times) for times in samples.values()]
    assert max(medians) - min(medians) < max(0.1 * min(medians), 0.002)
