"""What Apple gave at a sign-in is taken back at Apple when the account is closed, or the identity goes in whatever way."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import requests
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from auth.accounts.purge import SETTLED_AFTER, purge_accounts
from auth.apple_tokens.client import AppleRefused, AppleTokens, AppleUnreachable
from auth.apple_tokens.revoke import revoke_apple_tokens
from auth.identity_providers.id_token import APPLE, GOOGLE, IdTokens
from auth.identity_providers.jwks import ProviderKeys
from auth.identity_providers.keep_apple_token import exchange_apple_code
from auth.identity_providers.routes import provider_routes
from database.base import Clock, utc_now
from sandbox.apple_server.sold_app import ServerApiKey
from sandbox.http_listener import Listener, Reply
from sandbox.identity_server.google import CLIENT_ID as GOOGLE_CLIENT_ID
from sandbox.identity_server.server import IdentityServer
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.factor_owner import FactorOwner
from tests.auth.message_parts import token_in

EMAIL = "alice@example.com"
NONCE = secrets.token_urlsafe(24)
SEALED_CODES = "SELECT args FROM procrastinate_jobs WHERE task_name = 'exchange_apple_code'"


@dataclass
class FollowingClock:
    source: Clock = utc_now

    def __call__(self) -> Any:
        return self.source()


@dataclass
class Signing:
    """The application, and Apple beside it."""

    accounts: Accounts
    server: IdentityServer

    def authorized(self, redirect_uri: str | None = None, email: str = EMAIL) -> dict[str, str]:
        """What the app gets from Apple."""
        client_id = self.server.developer.client_id
        return self.server.apple.authorize(client_id, email, APPLE.nonce_claim(NONCE), redirect_uri)

    def body(self, email: str = EMAIL, **more: Any) -> dict[str, Any]:
        given = self.authorized(email=email)
        return {"id_token": given["id_token"], "nonce": NONCE, "authorization_code": given["code"], **more}

    def sign_in(self, **more: Any) -> TestResponse:
        return self.accounts.post("/apple", self.body(**more))

    def signed_in(self, **more: Any) -> dict[str, Any]:
        """Alice, and her token is kept."""
        answer = self.sign_in(**more)
        assert answer.status_code == 200, answer.text
        self.accounts.messages()
        assert self.at_apple() == [EMAIL]
        return dict(answer.get_json())

    def at_apple(self) -> list[str]:
        """Whose settings list the app."""
        answer = requests.get(f"{self.server.apple_url}/controls/authorizations", timeout=5)
        return [each["email"] for each in answer.json()["authorizations"]]

    def kept(self) -> list[bool]:
        """Of each token that is stored, whether its identity is still linked."""
        rows = self.accounts.query("SELECT identity_id IS NOT NULL FROM apple_refresh_tokens ORDER BY created_at, id")
        return [row[0] for row in rows]

    def revoke(self) -> int:
        with self.accounts.app.app_context():
            return revoke_apple_tokens(self.accounts.auth)

    def fail(self, **fault: Any) -> None:
        answer = requests.post(f"{self.server.apple_url}/controls/fail", json=fault, timeout=5)
        assert answer.status_code == 200

    def close(self, token: str) -> None:
        answer = self.accounts.client.delete("/api/auth/profile", headers=bearer(token))
        assert answer.status_code == 200, answer.text


@pytest.fixture
def server() -> Iterator[IdentityServer]:
    running = IdentityServer(clock=FollowingClock())
    running.start()
    yield running
    running.stop()


def tokens_at(server: IdentityServer, **changes: str) -> Callable[[Clock], AppleTokens]:
    own = server.developer
    key = {"key_id": own.key.key_id, "team_id": own.team_id, "private_key": own.key.p8.decode(), **changes}
    return lambda clock: AppleTokens(**key, base_url=server.apple_url, clock=clock)


def with_apple(accounts: Accounts, server: IdentityServer) -> Signing:
    clock = server.apple.tokens.clock
    assert isinstance(clock, FollowingClock)
    clock.source = accounts.clock
    apple = IdTokens(
        APPLE,
        frozenset({server.developer.client_id}),
        ProviderKeys(f"{server.apple_url}/auth/keys", accounts.clock),
        accounts.clock,
    )
    google = IdTokens(
        GOOGLE,
        frozenset({GOOGLE_CLIENT_ID}),
        ProviderKeys(f"{server.google_url}/oauth2/v3/certs", accounts.clock),
        accounts.clock,
    )
    accounts.app.register_blueprint(provider_routes(accounts.auth, [apple, google]))
    return Signing(accounts, server)


@pytest.fixture
def apple(make_accounts: MakeAccounts, server: IdentityServer) -> Signing:
    return with_apple(make_accounts(apple_tokens_of=tokens_at(server)), server)


def test_a_code_is_exchanged_by_a_job_and_neither_it_nor_the_token_is_readable_in_the_database(apple: Signing) -> None:
    body = apple.body()
    assert apple.accounts.post("/apple", body).status_code == 200
    ((arguments,),) = apple.accounts.query(SEALED_CODES)
    assert body["authorization_code"] not in json.dumps(arguments)
    apple.accounts.messages()
    assert apple.at_apple() == [EMAIL]
    ((client_id, sealed),) = apple.accounts.query("SELECT client_id, sealed_token FROM apple_refresh_tokens")
    assert client_id == apple.server.developer.client_id
    opened = apple.accounts.auth.data_keys.open(bytes(sealed), client_id.encode()).decode()
    assert opened not in bytes(sealed).decode("latin-1")
    assert apple.revoke() == 0  # it is in use


def test_closing_the_account_takes_the_sign_in_back_at_apple(apple: Signing) -> None:
    apple.close(apple.signed_in()["access_token"])
    assert apple.kept() == [False]
    assert apple.revoke() == 1
    assert (apple.at_apple(), apple.kept()) == ([], [])


def test_an_account_that_is_restored_with_apple_has_a_new_token(apple: Signing) -> None:
    owner = apple.signed_in()
    apple.close(owner["access_token"])
    assert apple.revoke() == 1
    assert apple.sign_in().status_code == 403
    again = apple.signed_in(restore_account=True)
    assert again["user"]["id"] == owner["user"]["id"]
    assert apple.kept() == [True]


def test_unlinking_the_identity_takes_it_back(apple: Signing) -> None:
    owner = apple.accounts.register()
    body = apple.body("other@example.com")
    linked = apple.accounts.post("/identities/apple", body, headers=bearer(owner["access_token"]))
    assert linked.status_code == 200, linked.text
    apple.accounts.messages()
    assert apple.at_apple() == ["other@example.com"]
    path = f"/api/auth/identities/{linked.get_json()['id']}"
    assert apple.accounts.client.delete(path, headers=bearer(owner["access_token"])).status_code == 204
    assert apple.revoke() == 1
    assert (apple.at_apple(), apple.kept()) == ([], [])


def test_what_a_thief_linked_is_taken_back_when_the_owner_locks_the_thief_out(apple: Signing) -> None:
    owner = apple.accounts.register()
    apple.accounts.clock.advance(seconds=1)
    body = apple.body("thief@example.com")
    apple.accounts.post("/identities/apple", body, headers=bearer(owner["access_token"]))
    apple.accounts.messages()
    apple.accounts.post("/forgot-password", {"email": EMAIL})
    (message,) = apple.accounts.messages()
    reset = {"token": token_in(message), "new_password": f"new {PASSWORD}"}
    assert apple.accounts.post("/reset-password", reset).status_code == 204
    assert apple.revoke() == 1
    assert (apple.at_apple(), apple.kept()) == ([], [])


def test_deleting_the_account_takes_back_what_closing_it_left(apple: Signing) -> None:
    """The operators switched it off, or the token came a moment after the account was closed."""
    apple.signed_in()
    apple.accounts.query("UPDATE users SET is_active = false, delete_after = :now", now=apple.accounts.clock())
    apple.accounts.clock.now += SETTLED_AFTER
    with apple.accounts.app.app_context():
        assert purge_accounts(apple.accounts.auth) == 1
    assert apple.kept() == [False]
    assert apple.revoke() == 1
    assert (apple.at_apple(), apple.kept()) == ([], [])


@pytest.mark.parametrize("meanwhile", ["unlinked", "closed"])
def test_a_token_that_comes_too_late_is_taken_back(apple: Signing, meanwhile: str) -> None:
    assert apple.sign_in().status_code == 200
    change = "DELETE FROM identities" if meanwhile == "unlinked" else "UPDATE users SET is_active = false"
    apple.accounts.query(change)
    apple.accounts.messages()
    assert (apple.at_apple(), apple.kept()) == ([EMAIL], [False])
    assert apple.revoke() == 1
    assert (apple.at_apple(), apple.kept()) == ([], [])


def test_one_token_is_kept_for_each_app_the_newest(apple: Signing) -> None:
    apple.signed_in()
    before = apple.accounts.query("SELECT sealed_token FROM apple_refresh_tokens")
    apple.signed_in()
    after = apple.accounts.query("SELECT sealed_token FROM apple_refresh_tokens")
    assert len(after) == 1
    assert after != before


def test_a_sign_in_that_still_needs_a_second_factor_keeps_it_too(apple: Signing) -> None:
    alice = FactorOwner(apple.accounts)
    apple.accounts.query("UPDATE users SET is_verified = true")
    alice.turn_on_totp()
    assert apple.sign_in().get_json()["error"] == "mfa_required"
    apple.accounts.messages()
    assert apple.kept() == [True]


def test_without_a_key_of_apple_nothing_is_exchanged_and_closing_works_as_ever(
    make_accounts: MakeAccounts, server: IdentityServer
) -> None:
    apple = with_apple(make_accounts(), server)
    answer = apple.sign_in()
    assert answer.status_code == 200
    assert apple.accounts.query(SEALED_CODES) == []
    apple.accounts.messages()
    apple.close(answer.get_json()["access_token"])
    assert (apple.at_apple(), apple.kept(), apple.revoke()) == ([], [], 0)


def test_a_sign_in_without_a_code_works_as_ever(apple: Signing) -> None:
    body = apple.body()
    del body["authorization_code"]
    assert apple.accounts.post("/apple", body).status_code == 200
    assert apple.accounts.query(SEALED_CODES) == []


def test_a_code_of_a_web_app_goes_with_the_address_that_it_was_asked_for_with(apple: Signing) -> None:
    back = "https://app.example.com/back"
    given = apple.authorized(back)
    body = {"id_token": given["id_token"], "nonce": NONCE, "authorization_code": given["code"]}
    assert apple.accounts.post("/apple", {**body, "redirect_uri": back}).status_code == 200
    apple.accounts.messages()
    assert apple.kept() == [True]


@pytest.mark.parametrize("what", ["invented", "used", "expired", "of somebody else", "of another address"])
def test_a_code_that_is_not_good_changes_nothing(apple: Signing, what: str) -> None:
    body = apple.body()
    if what == "invented":
        body["authorization_code"] = "c0ffee.0.invented"
    if what == "of somebody else":
        body["authorization_code"] = apple.authorized(email="bob@example.com")["code"]
    if what == "of another address":
        body["authorization_code"] = apple.authorized("https://app.example.com/back")["code"]
    assert apple.accounts.post("/apple", body).status_code == 200
    if what == "used":
        client_id = apple.server.developer.client_id
        assert apple.accounts.auth.apple_tokens is not None
        apple.accounts.auth.apple_tokens.exchange(body["authorization_code"], client_id, None)
    if what == "expired":
        apple.accounts.clock.advance(minutes=5)
    with capture_logs() as logged:
        apple.accounts.messages()
    reason = "of somebody else" if what == "of somebody else" else "invalid_grant"
    refused = [line["reason"] for line in logged if line["event"] == "apple_code_not_exchanged"]
    assert (refused, apple.kept()) == ([reason], [])


@pytest.mark.parametrize("code", ["", "two words", "line\nbreak", "ünicode", "x" * 1025, 7])
def test_what_cannot_be_a_code_is_refused(apple: Signing, code: Any) -> None:
    assert apple.sign_in(authorization_code=code).status_code == 422
    assert apple.accounts.query("SELECT count(*) FROM users") == [(0,)]


def test_google_gives_no_code(apple: Signing) -> None:
    asked = {"email": "alice@gmail.com", "nonce": NONCE}
    token = requests.get(f"{apple.server.google_url}/o/oauth2/v2/auth", params=asked, timeout=5).json()["id_token"]
    body = {"id_token": token, "nonce": NONCE}
    assert apple.accounts.post("/google", {**body, "authorization_code": "x"}).status_code == 422
    assert apple.accounts.post("/google", body).status_code == 200


def test_what_cannot_be_exchanged_while_apple_is_away_is_tried_again(apple: Signing) -> None:
    apple.fail()
    body = apple.body()
    assert apple.accounts.post("/apple", body).status_code == 200
    query = "DELETE FROM procrastinate_jobs WHERE task_name = 'exchange_apple_code' RETURNING args"
    ((arguments,),) = apple.accounts.query(query)
    run = exchange(apple)
    with apple.accounts.app.app_context():
        with pytest.raises(AppleUnreachable):
            run(**arguments)
        assert run(**arguments) == 1
    assert apple.kept() == [True]


def test_when_apple_refuses_our_key_the_exchange_fails_for_the_operators_to_see(apple: Signing) -> None:
    apple.fail(error="invalid_client")
    assert apple.sign_in().status_code == 200
    ((arguments,),) = apple.accounts.query(SEALED_CODES)
    with apple.accounts.app.app_context(), pytest.raises(AppleRefused, match="invalid_client"):
        exchange(apple)(**arguments)


def exchange(apple: Signing) -> Callable[..., int]:
    return partial(exchange_apple_code, apple.accounts.auth)


def test_while_apple_is_away_the_revocation_waits(apple: Signing) -> None:
    apple.close(apple.signed_in()["access_token"])
    apple.fail()
    assert (apple.revoke(), apple.kept()) == (0, [False])
    assert apple.accounts.query("SELECT count(*) FROM passed_over_items") == [(0,)]
    assert apple.revoke() == 1
    assert apple.at_apple() == []


def test_a_token_that_apple_will_never_take_is_given_up_and_holds_up_no_other(apple: Signing) -> None:
    apple.close(apple.signed_in()["access_token"])
    apple.accounts.query(
        "INSERT INTO apple_refresh_tokens (id, client_id, sealed_token, created_at) SELECT gen_random_uuid(), client_id,"
        " 'sealed under a key that is gone', created_at - interval '1 day' FROM apple_refresh_tokens"
    )
    with capture_logs() as logged:
        assert apple.revoke() == 2
    assert [(line["event"], line["reason"]) for line in logged] == [
        ("apple_token_not_revoked", "SealedValueUnreadable")
    ]
    assert (apple.at_apple(), apple.kept()) == ([], [])


def test_a_token_that_apple_calls_invalid_is_given_up(apple: Signing) -> None:
    apple.close(apple.signed_in()["access_token"])
    apple.fail(error="invalid_grant")
    with capture_logs() as logged:
        assert apple.revoke() == 1
    assert [(line["event"], line["reason"]) for line in logged] == [("apple_token_not_revoked", "invalid_grant")]
    assert apple.kept() == []


def test_when_apple_refuses_our_key_the_token_is_kept_and_tried_again_later(apple: Signing) -> None:
    apple.close(apple.signed_in()["access_token"])
    apple.fail(error="invalid_client")
    assert (apple.revoke(), apple.kept()) == (0, [False])
    assert apple.accounts.query("SELECT batch, reason FROM passed_over_items") == [
        ("revoke_apple_tokens", "AppleRefused")
    ]
    assert apple.revoke() == 0  # left alone for six hours
    apple.accounts.query("UPDATE passed_over_items SET last_at = last_at - interval '6 hours'")
    assert apple.revoke() == 1
    assert (apple.at_apple(), apple.kept()) == ([], [])


@pytest.mark.parametrize("wrong", ["key_id", "team_id", "private_key"])
def test_apple_believes_no_other_key(server: IdentityServer, wrong: str) -> None:
    changes = {wrong: IdentityServer().developer.key.p8.decode() if wrong == "private_key" else "AAAAAAAAAA"}
    with pytest.raises(AppleRefused, match="invalid_client"):
        tokens_at(server, **changes)(utc_now).revoke("x", server.developer.client_id)


def test_apple_believes_no_secret_for_another_app_and_none_that_lives_longer_than_half_a_year(
    server: IdentityServer,
) -> None:
    with pytest.raises(AppleRefused, match="invalid_client"):
        tokens_at(server)(utc_now).revoke("x", "com.example.other")
    with pytest.raises(AppleRefused, match="invalid_client"):
        tokens_at(server)(lambda: utc_now() + timedelta(days=183)).revoke("x", server.developer.client_id)


ANSWERS = {
    "a redirect": Reply(302, None, {"Location": "/elsewhere"}),
    "no JSON": Reply(200, "<html>"),
    "no object": Reply(200, "[]", media_type="application/json"),
    "no refresh token": Reply(200, {"id_token": "a.b.c"}),
    "no ID token": Reply(200, {"refresh_token": "x", "id_token": "a.b.c"}),
    "a number as token": Reply(200, {"refresh_token": "x", "id_token": 7}),
    "an error that is no word": Reply(400, {"error": {"code": 1}}),
    "a failure": Reply(500, "failed"),
    "too much": Reply(200, "x" * 100_000),
    "a closed connection": Reply(0, hang_up=True),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_none_of_apples_means_that_apple_is_away(name: str) -> None:
    elsewhere = Listener(lambda _request: ANSWERS[name])
    elsewhere.start()
    try:
        key = ServerApiKey().p8.decode()
        with pytest.raises(AppleUnreachable):
            AppleTokens("AAAAAAAAAA", "AAAAAAAAAA", key, elsewhere.url, utc_now).exchange("x", "com.example.app", None)
    finally:
        elsewhere.stop()
