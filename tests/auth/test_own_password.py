"""POST /api/auth/reauthenticate and POST /api/auth/password/change"""

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth.email_codes.one_time_codes import Purpose
from auth.rate_limits.by_account import KNOWN_DEVICE
from database import transaction
from tests.auth.accounts_app import GENEROUS, PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.factor_owner import FactorOwner

NEW = f"violet {secrets.token_hex(8)}"
WRONG = f"not {PASSWORD}"


def prove(accounts: Accounts, token: str, password: Any = PASSWORD) -> TestResponse:
    return accounts.post("/reauthenticate", {"password": password}, headers=bearer(token))


def change(accounts: Accounts, token: str, current: Any = PASSWORD, new: Any = NEW) -> TestResponse:
    body = {"current_password": current, "new_password": new}
    return accounts.post("/password/change", body, headers=bearer(token))


def begin_export(accounts: Accounts, token: str) -> int:
    """A route that wants a fresh proof."""
    return accounts.client.post("/api/auth/export", headers=bearer(token)).status_code


def test_a_stale_session_becomes_fresh_by_the_password(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    accounts.clock.advance(minutes=6)
    assert begin_export(accounts, token) == 401
    answer = prove(accounts, token)
    assert answer.status_code == 200
    body = answer.get_json()
    assert set(body) == {"access_token", "token_type", "expires_in"}
    assert begin_export(accounts, body["access_token"]) == 202
    assert "reauthenticated" in accounts.events()


def test_it_stays_the_same_session_and_a_refresh_keeps_the_proof(accounts: Accounts) -> None:
    signed_in = accounts.register()
    accounts.clock.advance(minutes=6)
    fresh = prove(accounts, signed_in["access_token"]).get_json()["access_token"]
    claims = accounts.auth.access_tokens.verify(fresh)
    assert claims.session_id == accounts.auth.access_tokens.verify(signed_in["access_token"]).session_id
    accounts.clock.advance(minutes=1)
    refreshed = accounts.refresh(signed_in["refresh_token"]).get_json()["access_token"]
    assert accounts.auth.access_tokens.verify(refreshed).auth_time == claims.auth_time
    assert accounts.query("SELECT count(*) FROM sessions") == [(1,)]


def test_a_wrong_password_proves_nothing(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    accounts.clock.advance(minutes=6)
    for password in (WRONG, "", "x" * 256, "\u0378"):
        answer = prove(accounts, token, password)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_credentials")
    assert begin_export(accounts, token) == 401
    assert accounts.profile(token).status_code == 200
    assert accounts.events().count("reauthentication_failed") == 4


def test_an_account_without_a_password_proves_nothing_by_one(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    accounts.query("UPDATE users SET password_hash = NULL")
    assert prove(accounts, token).status_code == 401
    assert change(accounts, token).status_code == 401


def test_whoever_holds_a_stolen_session_cannot_guess_on(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=replace(GENEROUS, known_devices=KNOWN_DEVICE))
    token = accounts.register()["access_token"]
    assert {prove(accounts, token, WRONG).status_code for _ in range(10)} == {401}
    refused = prove(accounts, token)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert change(accounts, token).status_code == 429
    assert "Someone is guessing your password" in [message["Subject"] for message in accounts.messages()]
    other = accounts.sign_in().get_json()["access_token"]
    assert prove(accounts, other).status_code == 200


def test_a_session_that_ended_meanwhile_is_not_made_fresh(accounts: Accounts) -> None:
    signed_in = accounts.register()
    accounts.post("/logout", {"refresh_token": signed_in["refresh_token"]})
    assert prove(accounts, signed_in["access_token"]).status_code == 401


def test_another_password_ends_every_other_session_and_the_owner_is_told(accounts: Accounts) -> None:
    phone = accounts.register()
    mine = accounts.sign_in().get_json()
    assert change(accounts, mine["access_token"]).status_code == 204
    assert accounts.profile(phone["access_token"]).status_code == 401
    assert accounts.refresh(phone["refresh_token"]).status_code == 401
    assert accounts.profile(mine["access_token"]).status_code == 200
    assert accounts.refresh(mine["refresh_token"]).status_code == 200
    assert accounts.sign_in().status_code == 401
    assert accounts.sign_in(password=NEW).status_code == 200
    assert "password_changed" in accounts.events()
    (message,) = accounts.messages()
    assert (message["To"], message["Subject"]) == ("alice@example.com", "Your password was changed")


def test_without_the_current_password_nothing_changes(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    assert change(accounts, token, current=WRONG).status_code == 401
    for body in ({"new_password": NEW}, {"current_password": PASSWORD}, {}):
        assert accounts.post("/password/change", body, headers=bearer(token)).status_code == 422
    assert accounts.sign_in().status_code == 200
    assert "password_changed" not in accounts.events()


@pytest.mark.parametrize(
    "new", ["short", "password123", "alice alice alice", "x" * 257, "aaaaaaaaaaaaaaaa", "\u0378" * 12]
)
def test_a_password_that_is_not_accepted_changes_nothing(accounts: Accounts, new: str) -> None:
    token = accounts.register()["access_token"]
    answer = change(accounts, token, new=new)
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "/new_password"
    assert accounts.sign_in().status_code == 200


def test_an_email_that_would_reset_the_password_opens_nothing_any_more(accounts: Accounts) -> None:
    signed_in = accounts.register()
    auth, user_id, purpose = accounts.auth, signed_in["user"]["id"], Purpose.RESET_PASSWORD
    with accounts.app.app_context(), transaction() as session:
        code = auth.one_time_codes.begin(session, user_id, purpose, "alice@example.com", accounts.clock())
    change(accounts, signed_in["access_token"])
    link = auth.one_time_codes.link_token(code, purpose)
    with accounts.app.app_context(), transaction() as session:
        assert auth.one_time_codes.spend_link(session, purpose, link, accounts.clock()) is None


def test_of_many_changes_at_once_one_wins(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    passwords = [f"violet {secrets.token_hex(8)}" for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(lambda new: change(accounts, token, new=new).status_code, passwords))
    assert sorted(statuses) == [204, 401, 401, 401, 401, 401]
    assert accounts.sign_in(password=passwords[statuses.index(204)]).status_code == 200


def test_nobody_is_asked_to_sign_in(accounts: Accounts) -> None:
    assert accounts.post("/reauthenticate", {"password": PASSWORD}).status_code == 401
    assert accounts.post("/password/change", {"current_password": PASSWORD, "new_password": NEW}).status_code == 401


def test_the_password_alone_is_no_fresh_proof_for_an_account_with_a_second_factor(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    answer = accounts.post("/reauthenticate", {"password": PASSWORD}, headers=bearer(alice.access_token))
    assert (answer.status_code, answer.get_json()["error"]) == (403, "second_factor_required")
    wrong = accounts.post("/reauthenticate", {"password": f"not {PASSWORD}"}, headers=bearer(alice.access_token))
    assert (wrong.status_code, wrong.get_json()["error"]) == (401, "invalid_credentials")
    assert "reauthenticated" not in accounts.events()
