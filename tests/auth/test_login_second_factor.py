"""POST /api/auth/login, then POST /api/auth/login/second-factor"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.auth.accounts_app import PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts
from tests.auth.factor_owner import FactorOwner


@pytest.fixture
def alice(accounts: Accounts) -> FactorOwner:
    owner = FactorOwner(accounts)
    owner.turn_on_totp()
    return owner


def test_the_right_password_alone_opens_nothing(alice: FactorOwner) -> None:
    sessions = alice.accounts.query("SELECT count(*) FROM sessions")
    answer = alice.accounts.sign_in()
    problem = answer.get_json()
    assert (answer.status_code, problem["error"], problem["expires_in"]) == (401, "mfa_required", 300)
    assert problem["methods"] == ["totp", "recovery_code"]
    assert not {"access_token", "refresh_token", "user", "device_token"} & set(problem)
    assert alice.accounts.query("SELECT count(*) FROM sessions") == sessions


def test_only_who_knows_the_password_hears_of_the_second_factor(alice: FactorOwner) -> None:
    assert alice.accounts.sign_in(password=f"not {PASSWORD}").get_json()["error"] == "invalid_credentials"


def test_the_code_of_the_app_gives_tokens_that_work(alice: FactorOwner) -> None:
    answer = alice.finish(alice.begin_sign_in(), totp_code=alice.code())
    assert answer.status_code == 200, answer.text
    tokens = answer.get_json()
    assert tokens["user"]["email"] == "alice@example.com"
    assert tokens["device_token"].startswith("dt_")
    assert alice.accounts.profile(tokens["access_token"]).status_code == 200
    assert alice.accounts.refresh(tokens["refresh_token"]).status_code == 200
    query = "SELECT detail FROM security_events WHERE event = 'signed_in' ORDER BY id DESC LIMIT 1"
    assert alice.accounts.query(query) == [({"method": "password", "second_factor": "totp"},)]


@pytest.mark.parametrize(("remember", "days"), [(False, 7), (True, 90)])
def test_what_was_asked_for_with_the_password_comes_with_the_code(
    alice: FactorOwner, remember: bool, days: int
) -> None:
    alice.finish(alice.begin_sign_in(remember_me=remember), totp_code=alice.code())
    [(lifetime,)] = alice.accounts.query("SELECT expires_at - created_at FROM sessions ORDER BY id DESC LIMIT 1")
    assert lifetime.days == days


def test_a_known_device_stays_the_known_device(alice: FactorOwner) -> None:
    device_token = alice.finish(alice.begin_sign_in(), totp_code=alice.code()).get_json()["device_token"]
    alice.accounts.clock.advance(seconds=30)
    again = alice.finish(alice.begin_sign_in(device_token=device_token), totp_code=alice.code())
    assert again.get_json()["device_token"] is None


def test_a_code_works_once(alice: FactorOwner) -> None:
    code = alice.code()
    assert alice.finish(alice.begin_sign_in(), totp_code=code).status_code == 200
    answer = alice.finish(alice.begin_sign_in(), totp_code=code)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "second_factor_refused")


def test_the_code_that_confirmed_the_app_does_not_sign_in(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code(-1)).status_code == 401


def test_of_ten_sign_ins_at_once_with_one_code_one_succeeds(alice: FactorOwner) -> None:
    challenges = [alice.begin_sign_in() for _ in range(10)]
    with ThreadPoolExecutor(10) as threads:
        answers = threads.map(lambda challenge: alice.finish(challenge, totp_code=alice.code()), challenges)
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9


@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
def test_a_clock_may_be_half_a_minute_wrong(alice: FactorOwner, steps: int, status: int) -> None:
    alice.accounts.clock.advance(minutes=2)
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code(steps)).status_code == status


def test_a_code_before_the_last_one_used_is_refused(alice: FactorOwner) -> None:
    alice.accounts.clock.advance(minutes=2)
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code(1)).status_code == 200
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code()).status_code == 401


def test_a_challenge_is_used_once(alice: FactorOwner) -> None:
    challenge = alice.begin_sign_in()
    assert alice.finish(challenge, totp_code=alice.code()).status_code == 200
    answer = alice.finish(challenge, recovery_code=alice.recovery_codes[0])
    assert (answer.status_code, answer.get_json()["error"]) == (401, "challenge_not_valid")
    assert alice.status()["recovery_codes_left"] == 10


def test_a_challenge_lives_five_minutes(alice: FactorOwner) -> None:
    challenge = alice.begin_sign_in()
    alice.accounts.clock.advance(minutes=5)
    assert alice.finish(challenge, totp_code=alice.code()).get_json()["error"] == "challenge_not_valid"


def test_five_wrong_codes_void_the_challenge(alice: FactorOwner) -> None:
    challenge = alice.begin_sign_in()
    for _ in range(5):
        assert alice.finish(challenge, totp_code=alice.wrong_code()).get_json()["error"] == "second_factor_refused"
    assert alice.finish(challenge, totp_code=alice.code()).get_json()["error"] == "challenge_not_valid"
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code()).status_code == 200


def test_forty_wrong_codes_at_once_are_five_tries(alice: FactorOwner) -> None:
    challenge = alice.begin_sign_in()
    with ThreadPoolExecutor(10) as threads:
        answers = threads.map(lambda _: alice.finish(challenge, totp_code=alice.wrong_code()), range(40))
        errors = [answer.get_json()["error"] for answer in answers]
    assert errors.count("second_factor_refused") == 5
    assert errors.count("challenge_not_valid") == 35


def waste(owner: FactorOwner, tries: int, **more: Any) -> None:
    for first in range(0, tries, 5):
        challenge = owner.begin_sign_in(**more)
        for _ in range(min(5, tries - first)):
            assert owner.finish(challenge, totp_code=owner.wrong_code()).status_code == 401


def test_the_twenty_first_wrong_code_of_an_hour_has_to_wait(alice: FactorOwner) -> None:
    waste(alice, 20)
    challenge = alice.begin_sign_in()
    answer = alice.finish(challenge, totp_code=alice.code())
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3600")
    alice.accounts.clock.advance(hours=1)
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code()).status_code == 200


def test_a_stranger_with_the_password_does_not_lock_out_a_known_device(alice: FactorOwner) -> None:
    device_token = alice.finish(alice.begin_sign_in(), totp_code=alice.code()).get_json()["device_token"]
    alice.accounts.clock.advance(seconds=30)
    waste(alice, 20)
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code()).status_code == 429
    known = alice.begin_sign_in(device_token=device_token)
    assert alice.finish(known, totp_code=alice.code()).status_code == 200


def test_the_owner_is_told_of_ten_wrong_codes_once(alice: FactorOwner) -> None:
    alice.accounts.messages()
    waste(alice, 12)
    assert [message["Subject"] for message in alice.accounts.messages()] == ["Someone is guessing your second factor"]
    assert alice.accounts.events(alice.user_id).count("second_factor_failed") == 12


@pytest.mark.parametrize("token", ["", "sc_", "sc_" + "A" * 43, "dt_x", "%_"])
def test_what_was_never_a_challenge_is_refused(alice: FactorOwner, token: str) -> None:
    alice.begin_sign_in()
    answer = alice.finish(token, totp_code=alice.code())
    assert (answer.status_code, answer.get_json()["error"]) == (401, "challenge_not_valid")


def test_the_challenge_of_one_account_is_not_finished_with_the_code_of_another(alice: FactorOwner) -> None:
    bob = FactorOwner(alice.accounts, "bob@example.com")
    bob.turn_on_totp()
    assert alice.finish(bob.begin_sign_in(), totp_code=alice.code()).status_code == 401


@pytest.mark.parametrize(
    "proof", [{}, {"totp_code": "123456", "recovery_code": "x"}, {"totp_code": "123456", "otp": "123456"}]
)
def test_exactly_one_proof_is_taken(alice: FactorOwner, proof: dict[str, str]) -> None:
    assert alice.finish(alice.begin_sign_in(), **proof).status_code == 422


def test_what_ends_all_sessions_voids_the_sign_ins_that_wait(alice: FactorOwner) -> None:
    """As a new password does, while somebody who knew the old one looks for the code."""
    waiting = alice.begin_sign_in()
    alice.ask("POST", "/second-factor/recovery-codes")
    assert alice.finish(waiting, totp_code=alice.code()).get_json()["error"] == "challenge_not_valid"


def test_an_account_that_was_switched_off_meanwhile_is_not_opened(alice: FactorOwner) -> None:
    challenge = alice.begin_sign_in()
    alice.accounts.query("UPDATE users SET is_active = false")
    assert alice.finish(challenge, totp_code=alice.code()).get_json()["error"] == "account_disabled"


def test_all_of_it_works_without_redis(make_accounts: MakeAccounts) -> None:
    alice = FactorOwner(make_accounts(redis_at=None))
    alice.turn_on_totp()
    waste(alice, 20)
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code()).status_code == 429
    alice.accounts.clock.advance(hours=1)
    assert alice.finish(alice.begin_sign_in(), totp_code=alice.code()).status_code == 200


def test_the_last_sign_in_is_the_finished_one(alice: FactorOwner) -> None:
    before = alice.accounts.query("SELECT last_login_at FROM users")
    challenge = alice.begin_sign_in()
    assert alice.accounts.query("SELECT last_login_at FROM users") == before
    alice.finish(challenge, totp_code=alice.code())
    assert alice.accounts.query("SELECT last_login_at FROM users") == [(alice.accounts.clock(),)]


def test_a_web_page_may_have_the_refresh_token_in_a_cookie_here_too(alice: FactorOwner) -> None:
    wish = {"challenge": alice.begin_sign_in(), "totp_code": alice.code()}
    wish |= {"token_delivery": "cookie", "device_name": "Firefox"}
    refused = alice.accounts.post("/login/second-factor", wish, headers={"Sec-Fetch-Site": "cross-site"})
    assert (refused.status_code, refused.get_json()["error"]) == (403, "csrf_failed")
    answer = alice.accounts.post("/login/second-factor", wish, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["Set-Cookie"].startswith("__Host-rt=rt_")
    assert "refresh_token" not in answer.get_json()
    assert ("Firefox",) in alice.accounts.query("SELECT device_name FROM sessions")
