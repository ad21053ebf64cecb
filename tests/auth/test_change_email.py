"""POST /api/auth/email/change, /email/confirm, /email/undo"""

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth.email_codes.one_time_codes import LINK_LIFETIMES, Purpose
from auth.identity_providers.id_token import GOOGLE
from auth.lock_out.lock_out import DISTRUSTED
from auth.rate_limits.by_address import AuthLimits
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.factor_owner import FactorOwner
from tests.auth.identity_issuer import IdentityIssuer
from tests.auth.message_parts import code_in, link_in, text_of, token_in
from tests.auth.test_sign_in_with_provider import SignIn

OLD, NEW, MALLORY = "alice@example.com", "alice@new.example", "mallory@example.com"
NEW_PASSWORD = f"harbour {secrets.token_hex(8)}"


def change(accounts: Accounts, tokens: dict[str, Any], to: str = NEW) -> TestResponse:
    return accounts.post("/email/change", {"new_email": to}, headers=bearer(tokens["access_token"]))


def asked(accounts: Accounts, tokens: dict[str, Any], to: str = NEW) -> EmailMessage:
    """The message that the new address gets."""
    assert change(accounts, tokens, to).status_code == 202
    (message,) = accounts.messages()
    assert (message["To"], message["Subject"]) == (to, "Confirm your new e-mail address")
    return message


def moved(accounts: Accounts, tokens: dict[str, Any], to: str = NEW) -> EmailMessage:
    """The message that the old address gets after the change."""
    token = token_in(asked(accounts, tokens, to))
    assert accounts.post("/email/confirm", {"token": token}).status_code == 204
    (message,) = accounts.messages()
    assert message["Subject"] == "Your e-mail address was changed"
    return message


def addresses(accounts: Accounts) -> list[str]:
    return [row[0] for row in accounts.query("SELECT email FROM users ORDER BY id")]


def test_the_link_to_the_new_address_moves_the_account(accounts: Accounts) -> None:
    tokens = accounts.register()
    message = asked(accounts, tokens)
    assert link_in(message).startswith("https://api.example.com/account/change-email#token=ot_")
    assert f"from {OLD} to" in text_of(message)
    assert addresses(accounts) == [OLD]
    assert accounts.post("/email/confirm", {"token": token_in(message)}).status_code == 204
    assert addresses(accounts) == [NEW]
    assert accounts.query("SELECT is_verified FROM users") == [(True,)]
    assert accounts.sign_in(OLD).status_code == 401
    assert accounts.sign_in(NEW).status_code == 200


def test_the_code_with_the_new_address_moves_it_too(accounts: Accounts) -> None:
    message = asked(accounts, accounts.register())
    confirmed = accounts.post("/email/confirm", {"email": NEW.upper(), "code": code_in(message)})
    assert confirmed.status_code == 204
    assert addresses(accounts) == [NEW]


def test_two_accounts_may_want_one_address_and_whoever_answers_the_email_gets_it(accounts: Accounts) -> None:
    alice, mallory = accounts.register(), accounts.register(MALLORY)
    codes = {name: code_in(asked(accounts, tokens)) for name, tokens in (("mallory", mallory), ("alice", alice))}
    assert accounts.post("/email/confirm", {"email": NEW, "code": codes["alice"]}).status_code == 204
    assert addresses(accounts) == [NEW, MALLORY]
    late = accounts.post("/email/confirm", {"email": NEW, "code": codes["mallory"]})
    assert (late.status_code, late.get_json()["error"]) == (409, "email_taken")
    assert addresses(accounts) == [NEW, MALLORY]


def test_of_ten_confirmations_at_once_one_succeeds(accounts: Accounts) -> None:
    token = token_in(asked(accounts, accounts.register()))
    with ThreadPoolExecutor(10) as threads:
        statuses = list(threads.map(lambda _: accounts.post("/email/confirm", {"token": token}).status_code, range(10)))
    assert sorted(statuses) == [204] + [400] * 9


def test_the_session_that_asked_stays_and_the_others_end(accounts: Accounts) -> None:
    other = accounts.register()
    asking = accounts.sign_in().get_json()
    moved(accounts, asking)
    assert accounts.profile(asking["access_token"]).get_json()["email"] == NEW
    assert accounts.profile(other["access_token"]).status_code == 401


def test_it_is_written_down(accounts: Accounts) -> None:
    tokens = accounts.register()
    message = moved(accounts, tokens)
    accounts.post("/email/undo", {"token": token_in(message)})
    assert accounts.events(tokens["user"]["id"]) == [
        "registered",
        "email_change_requested",
        "email_changed",
        "email_change_undone",
    ]


@pytest.mark.parametrize("seconds", [301, 800])
def test_a_sign_in_that_is_not_fresh_is_not_enough(accounts: Accounts, seconds: int) -> None:
    tokens = accounts.register()
    accounts.clock.advance(seconds=seconds)
    answer = change(accounts, tokens)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "insufficient_user_authentication")
    assert "max_age=300" in answer.headers["WWW-Authenticate"]
    assert accounts.messages() == []


def test_nobody_changes_anything_without_a_sign_in(accounts: Accounts) -> None:
    assert accounts.post("/email/change", {"new_email": NEW}).status_code == 401


def test_an_address_in_use_is_answered_as_usual_and_its_owner_is_told(accounts: Accounts) -> None:
    accounts.register()
    mallory = accounts.register(MALLORY)
    usual = change(accounts, mallory, "free@example.com")
    accounts.messages()
    answer = change(accounts, mallory, "ALICE@example.com")
    assert (answer.status_code, answer.data) == (usual.status_code, usual.data) == (202, b'{"status":"check_email"}')
    (message,) = accounts.messages()
    assert (message["To"], message["Subject"]) == (OLD, "This e-mail address is already in use")
    assert "#token=" not in message.as_string()
    assert addresses(accounts) == [OLD, MALLORY]


def test_the_own_address_is_refused(accounts: Accounts) -> None:
    answer = change(accounts, accounts.register(), "ALICE@example.com")
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "/new_email"


@pytest.mark.parametrize("email", ["alice@example.com\r\nBcc: bob@example.com", '"a"@example.com', "a@[192.0.2.1]"])
def test_what_is_no_address_is_refused_and_nothing_is_sent(accounts: Accounts, email: str) -> None:
    assert change(accounts, accounts.register(), email).status_code == 422
    assert accounts.messages() == []


def test_messages_to_one_address_are_limited_whoever_asks(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(limits=AuthLimits())
    tokens = accounts.register()
    assert [change(accounts, tokens).status_code for _ in range(11)] == [202] * 10 + [429]
    assert len(accounts.messages()) == 1


def test_an_older_request_is_void_after_a_newer_one(accounts: Accounts) -> None:
    tokens = accounts.register()
    older = asked(accounts, tokens, "first@example.com")
    newer = asked(accounts, tokens)
    assert accounts.post("/email/confirm", {"token": token_in(older)}).status_code == 400
    assert accounts.post("/email/confirm", {"token": token_in(newer)}).status_code == 204


def test_the_email_runs_out_after_an_hour(accounts: Accounts) -> None:
    token = token_in(asked(accounts, accounts.register()))
    accounts.clock.now += LINK_LIFETIMES[Purpose.CHANGE_EMAIL]
    assert accounts.post("/email/confirm", {"token": token}).status_code == 400


def test_messages_to_the_old_address_open_nothing_any_more(accounts: Accounts) -> None:
    tokens = accounts.register()
    accounts.post("/forgot-password", {"email": OLD})
    accounts.post("/resend-verification", {"email": OLD})
    reset, verify = accounts.messages()
    moved(accounts, tokens)
    assert accounts.post("/verify-email", {"token": token_in(verify)}).status_code == 400
    body = {"token": token_in(reset), "new_password": NEW_PASSWORD}
    assert accounts.post("/reset-password", body).status_code == 400


def test_a_reset_stops_a_change_that_is_on_its_way(accounts: Accounts) -> None:
    message = asked(accounts, accounts.register(), MALLORY)
    accounts.post("/forgot-password", {"email": OLD})
    (reset,) = accounts.messages()
    accounts.post("/reset-password", {"token": token_in(reset), "new_password": NEW_PASSWORD})
    assert accounts.post("/email/confirm", {"token": token_in(message)}).status_code == 400
    assert addresses(accounts) == [OLD]


def test_the_owner_takes_the_account_back_with_the_email_to_the_old_address(accounts: Accounts) -> None:
    tokens = accounts.register()
    message = moved(accounts, tokens, MALLORY)
    assert message["To"] == OLD
    assert link_in(message).startswith("https://api.example.com/account/undo-email-change#token=ot_")
    accounts.clock.advance(days=6)
    assert accounts.post("/email/undo", {"token": token_in(message)}).status_code == 204
    assert addresses(accounts) == [OLD]
    assert accounts.profile(tokens["access_token"]).status_code == 401
    assert accounts.refresh(tokens["refresh_token"]).status_code == 401
    # Whoever changed the address may know the password.
    assert accounts.sign_in(OLD, PASSWORD).status_code == 401
    (reset,) = accounts.messages()
    assert (reset["To"], reset["Subject"]) == (OLD, "Set a new password")
    accounts.post("/reset-password", {"token": token_in(reset), "new_password": NEW_PASSWORD})
    assert accounts.sign_in(OLD, NEW_PASSWORD).status_code == 200


def test_the_way_back_ends_after_seven_days_and_works_once(accounts: Accounts) -> None:
    message = moved(accounts, accounts.register())
    accounts.clock.now += LINK_LIFETIMES[Purpose.UNDO_EMAIL_CHANGE]
    assert accounts.post("/email/undo", {"token": token_in(message)}).status_code == 400
    accounts.clock.advance(seconds=-1)
    assert accounts.post("/email/undo", {"token": token_in(message)}).status_code == 204
    assert accounts.post("/email/undo", {"token": token_in(message)}).status_code == 400


def test_changing_twice_does_not_take_the_way_back_from_the_owner(accounts: Accounts) -> None:
    accounts.register()
    mallory = accounts.sign_in().get_json()
    of_owner = moved(accounts, mallory, MALLORY)
    accounts.clock.advance(seconds=1)
    of_mallory = moved(accounts, mallory, "mallory@elsewhere.example")
    assert of_mallory["To"] == MALLORY
    assert accounts.post("/email/undo", {"token": token_in(of_owner)}).status_code == 204
    assert accounts.post("/email/undo", {"token": token_in(of_mallory)}).status_code == 400
    assert addresses(accounts) == [OLD]


@pytest.mark.parametrize("mode", ["classic", "private"])
def test_nobody_can_register_the_old_address_while_there_is_a_way_back(make_accounts: MakeAccounts, mode: str) -> None:
    accounts = make_accounts()
    message = moved(accounts, accounts.register(), MALLORY)
    other = accounts if mode == "classic" else make_accounts(registration_response=mode)
    answer = other.post("/register", {"email": OLD, "password": PASSWORD})
    assert answer.status_code == (409 if mode == "classic" else 202)
    assert addresses(accounts) == [MALLORY]
    told = [(each["To"], each["Subject"]) for each in other.messages()]
    assert told == ([] if mode == "classic" else [(OLD, "This e-mail address is already in use")])
    accounts.clock.now += LINK_LIFETIMES[Purpose.UNDO_EMAIL_CHANGE]
    assert accounts.post("/email/undo", {"token": token_in(message)}).status_code == 400
    accounts.register(OLD)


def test_when_another_account_has_the_old_address_by_proof_the_way_back_is_closed(accounts: Accounts) -> None:
    message = moved(accounts, accounts.register())
    bob = accounts.register("bob@example.com")
    moved(accounts, bob, OLD)
    answer = accounts.post("/email/undo", {"token": token_in(message)})
    assert (answer.status_code, answer.get_json()["error"]) == (409, "email_taken")
    assert addresses(accounts) == [NEW, OLD]


def test_only_a_link_undoes_a_change(accounts: Accounts) -> None:
    message = moved(accounts, accounts.register())
    assert "code" not in text_of(message)
    assert accounts.post("/email/undo", {"email": OLD, "code": "123456"}).status_code == 422


def test_undoing_a_change_takes_away_what_the_thief_prepared_to_come_back(accounts: Accounts) -> None:
    owner = FactorOwner(accounts)
    owner.add_passkey("the owner's")
    accounts.clock.now += DISTRUSTED + timedelta(seconds=1)
    challenge, code = (owner.begin_sign_in(), owner.recovery_codes[0])
    thief = owner.finish(challenge, recovery_code=code).get_json()
    owner.access_token = thief["access_token"]
    passkey = owner.add_passkey("the thief's")
    key = accounts.post("/tokens", {"name": "back door", "scopes": ["predict"]}, headers=bearer(owner.access_token))
    assert key.status_code == 201
    accounts.messages()
    message = moved(accounts, thief)
    assert accounts.post("/email/undo", {"token": token_in(message)}).status_code == 204
    options = accounts.post("/passkeys/sign-in/options").get_json()["options"]
    assert accounts.post("/passkeys/sign-in", {"credential": passkey.get(options)}).status_code == 401
    assert accounts.query("SELECT name FROM passkeys") == [("the owner's",)]
    assert accounts.query("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL") == [(0,)]


def test_an_identity_that_a_thief_linked_is_gone_after_the_way_back(accounts: Accounts) -> None:
    with IdentityIssuer("https://accounts.google.com") as issuer:
        google = SignIn(accounts, issuer, GOOGLE)
        thief = accounts.register()
        accounts.clock.advance(seconds=1)
        token = google.token(sub="thief", email="mallory@gmail.com")
        message = moved(accounts, thief, "mallory@gmail.com")
        assert google.post(token).get_json()["user"]["id"] == thief["user"]["id"]
        accounts.messages()
        assert accounts.post("/email/undo", {"token": token_in(message)}).status_code == 204
        assert google.post(token).get_json()["user"]["id"] != thief["user"]["id"]
    query = "SELECT detail FROM security_events WHERE event = 'email_change_undone'"
    assert accounts.query(query) == [({"sessions_ended": 2, "identities_removed": 1},)]


@pytest.mark.parametrize("path", ["?keep_current=true", "?keep_current=false", "/{session_id}"])
def test_a_change_does_not_outlive_the_session_that_asked_for_it(accounts: Accounts, path: str) -> None:
    thief = accounts.register()
    message = asked(accounts, thief, MALLORY)
    session_id = accounts.auth.access_tokens.verify(thief["access_token"]).session_id
    owner = bearer(accounts.sign_in().get_json()["access_token"])
    ended = accounts.client.delete(f"/api/auth/sessions{path.format(session_id=session_id)}", headers=owner)
    assert ended.status_code in {200, 204}
    assert accounts.post("/email/confirm", {"email": MALLORY, "code": code_in(message)}).status_code == 400
    assert accounts.post("/email/confirm", {"token": token_in(message)}).status_code == 400
    assert addresses(accounts) == [OLD]


def test_signing_out_ends_the_own_change_too(accounts: Accounts) -> None:
    tokens = accounts.register()
    message = asked(accounts, tokens)
    accounts.post("/logout", {"refresh_token": tokens["refresh_token"]})
    assert accounts.post("/email/confirm", {"token": token_in(message)}).status_code == 400


@pytest.mark.parametrize("act", ["sign out everywhere else", "change the password"])
def test_the_owners_own_change_goes_on_when_the_other_sessions_end(accounts: Accounts, act: str) -> None:
    tokens = accounts.register()
    message, own = asked(accounts, tokens), bearer(tokens["access_token"])
    if act == "change the password":
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert accounts.post("/password/change", body, headers=own).status_code == 204
    else:
        assert accounts.client.delete("/api/auth/sessions?keep_current=true", headers=own).status_code == 200
    assert accounts.post("/email/confirm", {"token": token_in(message)}).status_code == 204


def test_an_account_that_is_switched_off_is_not_moved(accounts: Accounts) -> None:
    message = asked(accounts, accounts.register(), MALLORY)
    accounts.query("UPDATE users SET is_active = false")
    assert accounts.post("/email/confirm", {"token": token_in(message)}).status_code == 400
    assert addresses(accounts) == [OLD]


def test_an_account_that_was_switched_off_can_still_be_taken_back_and_stays_off(accounts: Accounts) -> None:
    message = moved(accounts, accounts.register(), MALLORY)
    accounts.query("UPDATE users SET is_active = false")
    assert accounts.post("/email/undo", {"token": token_in(message)}).status_code == 204
    assert addresses(accounts) == [OLD]
    (reset,) = accounts.messages()
    body = {"token": token_in(reset), "new_password": NEW_PASSWORD}
    assert accounts.post("/reset-password", body).status_code == 204
    assert accounts.sign_in(OLD, NEW_PASSWORD).get_json()["error"] == "account_disabled"


def test_five_older_accounts_that_ask_for_an_address_do_not_shut_out_its_owner(accounts: Accounts) -> None:
    """The digits are looked for among those who asked last."""
    for number in range(5):
        asked(accounts, accounts.register(f"mallory{number}@example.com"))
        accounts.clock.advance(seconds=1)
    message = asked(accounts, accounts.register())
    assert accounts.post("/email/confirm", {"email": NEW, "code": code_in(message)}).status_code == 204
    assert addresses(accounts)[-1] == NEW
