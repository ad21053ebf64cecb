"""POST /api/auth/reauthenticate/second-factor"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.auth.accounts_app import Accounts
from tests.auth.factor_owner import FactorOwner


@pytest.fixture
def alice(accounts: Accounts) -> FactorOwner:
    """With an authenticator app, and a sign-in that is too old to change anything."""
    owner = FactorOwner(accounts)
    owner.turn_on_totp()
    owner.accounts.clock.advance(minutes=6)
    return owner


def stale(alice: FactorOwner, token: str | None = None) -> bool:
    answer = alice.ask("POST", "/second-factor/recovery-codes", token=token)
    return bool(answer.status_code == 401 and answer.get_json()["error"] == "insufficient_user_authentication")


def test_a_code_makes_the_session_fresh(alice: FactorOwner) -> None:
    assert stale(alice)
    answer = alice.ask("POST", "/reauthenticate/second-factor", {"totp_code": alice.code()})
    assert answer.status_code == 200, answer.text
    fresh = answer.get_json()["access_token"]
    assert set(answer.get_json()) == {"access_token", "token_type", "expires_in"}
    assert not stale(alice, fresh)
    assert stale(alice), "the token from before says what it said"
    assert alice.accounts.query("SELECT count(*) FROM sessions") == [(1,)]
    assert "reauthenticated" in alice.accounts.events(alice.user_id)


def test_a_refreshed_token_stays_as_fresh(alice: FactorOwner) -> None:
    alice.ask("POST", "/reauthenticate/second-factor", {"totp_code": alice.code()})
    refreshed = alice.accounts.refresh(alice.refresh_token).get_json()["access_token"]
    assert not stale(alice, refreshed)


def test_a_passkey_makes_the_session_fresh(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    passkey = alice.add_passkey()
    accounts.clock.advance(minutes=6)
    options = alice.ask("POST", "/reauthenticate/second-factor/passkey/options").get_json()["options"]
    answer = alice.ask("POST", "/reauthenticate/second-factor", {"passkey": passkey.get(options)})
    assert answer.status_code == 200, answer.text
    assert not stale(alice, answer.get_json()["access_token"])


def test_the_challenge_of_a_sign_in_freshens_no_session(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    passkey = alice.add_passkey()
    credential = passkey.get(alice.sign_in_options(alice.begin_sign_in()))
    assert alice.ask("POST", "/reauthenticate/second-factor", {"passkey": credential}).status_code == 401


def test_a_code_works_once_here_or_there(alice: FactorOwner) -> None:
    code = alice.code()
    assert alice.ask("POST", "/reauthenticate/second-factor", {"totp_code": code}).status_code == 200
    assert alice.finish(alice.begin_sign_in(), totp_code=code).status_code == 401


def test_wrong_codes_count_with_those_of_sign_ins(alice: FactorOwner) -> None:
    for _ in range(20):
        answer = alice.ask("POST", "/reauthenticate/second-factor", {"totp_code": alice.wrong_code()})
        assert (answer.status_code, answer.get_json()["error"]) == (401, "second_factor_refused")
    right = {"totp_code": alice.code()}
    assert alice.ask("POST", "/reauthenticate/second-factor", right).status_code == 429
    assert alice.finish(alice.begin_sign_in(), **right).status_code == 429
    assert stale(alice)


def test_an_account_without_a_factor_has_nothing_to_show(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    for path, body in (
        ("/reauthenticate/second-factor", {"totp_code": "123456"}),
        ("/reauthenticate/second-factor/passkey/options", None),
    ):
        answer = alice.ask("POST", path, body)
        assert (answer.status_code, answer.get_json()["error"]) == (409, "second_factor_off")


def test_everything_at_once_on_one_account_ends_well(accounts: Accounts) -> None:
    """Whoever took the rows in another order than the rest would wait for somebody who waits for it."""
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    passkey = alice.add_passkey(counts=False)
    challenge = alice.begin_sign_in()

    def work(number: int) -> int:
        if number % 4 == 0:
            answer = alice.ask("POST", "/reauthenticate/second-factor/passkey/options")
            credential = passkey.get(answer.get_json()["options"])
            return alice.ask("POST", "/reauthenticate/second-factor", {"passkey": credential}).status_code
        if number % 4 == 1:
            return alice.finish(challenge, totp_code=alice.wrong_code()).status_code
        if number % 4 == 2:
            options = accounts.post("/passkeys/sign-in/options").get_json()["options"]
            return accounts.post("/passkeys/sign-in", {"credential": passkey.get(options)}).status_code
        return alice.ask("POST", "/second-factor/recovery-codes").status_code

    with ThreadPoolExecutor(10) as threads:
        statuses = set(threads.map(work, range(40)))
    assert statuses <= {200, 401}
