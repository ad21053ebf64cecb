"""POST /api/auth/apple and /api/auth/google, with an issuer on loopback that has keys of its own."""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from werkzeug.test import TestResponse

from auth.identity_providers.id_token import APPLE, GOOGLE, IdTokens, Provider
from auth.identity_providers.jwks import ProviderKeys
from auth.identity_providers.routes import provider_routes
from tests.auth.accounts_app import Accounts, bearer
from tests.auth.factor_owner import FactorOwner
from tests.auth.identity_issuer import AUDIENCE, IdentityIssuer
from tests.auth.key_holder import KeyHolder
from tests.auth.message_parts import token_in
from tests.metric_values import rising

NONCE = secrets.token_urlsafe(24)
PASSWORD_BEFORE = f"tulip {secrets.token_hex(8)}"


class SignIn:
    """The application with one provider, and the provider's issuer."""

    def __init__(self, accounts: Accounts, issuer: IdentityIssuer, provider: Provider) -> None:
        self.accounts = accounts
        self.issuer = issuer
        self.provider = provider
        keys = ProviderKeys(issuer.url, accounts.clock)
        tokens = IdTokens(provider, frozenset({AUDIENCE}), keys, accounts.clock)
        accounts.app.register_blueprint(provider_routes(accounts.auth, [tokens]), name=f"with_{provider.name}")

    def token(self, **claims: Any) -> str:
        return self.issuer.token(**{"nonce": self.provider.nonce_claim(NONCE), **claims})

    def post(self, token: str | None = None, nonce: str = NONCE, **more: Any) -> TestResponse:
        body = {"id_token": token if token is not None else self.token(), "nonce": nonce, **more}
        return self.accounts.post(f"/{self.provider.name}", body)

    def users(self) -> int:
        return int(self.accounts.query("SELECT count(*) FROM users")[0][0])


@pytest.fixture
def google(accounts: Accounts) -> Iterator[SignIn]:
    with IdentityIssuer("https://accounts.google.com") as issuer:
        yield SignIn(accounts, issuer, GOOGLE)


@pytest.fixture
def apple(accounts: Accounts) -> Iterator[SignIn]:
    with IdentityIssuer("https://appleid.apple.com") as issuer:
        yield SignIn(accounts, issuer, APPLE)


def test_a_new_person_gets_an_account_with_a_verified_address(google: SignIn) -> None:
    answer = google.post()
    assert answer.status_code == 200, answer.text
    user = answer.get_json()["user"]
    assert (user["email"], user["is_verified"], user["tier"]) == ("alice@example.com", True, "free")
    assert google.accounts.profile(answer.get_json()["access_token"]).status_code == 200


def test_the_same_person_comes_back_to_the_same_account_whatever_the_address_is_now(google: SignIn) -> None:
    first = google.post().get_json()["user"]["id"]
    again = google.post(google.token(email="new-address@example.com", email_verified=False))
    assert again.get_json()["user"]["id"] == first
    assert google.users() == 1


def test_another_person_at_the_address_does_not_get_the_account_of_the_first_subject(google: SignIn) -> None:
    google.post()
    assert google.post(google.token(sub="subject-2", email_verified=False)).status_code == 401


def test_apple_hashes_the_nonce_and_writes_the_flag_as_text(apple: SignIn) -> None:
    claims = jwt.decode(apple.token(), options={"verify_signature": False})
    assert claims["nonce"] == hashlib.sha256(NONCE.encode()).hexdigest()
    assert apple.post(apple.token(email_verified="true")).status_code == 200


def test_a_verified_account_of_the_address_is_joined_and_keeps_its_password(google: SignIn) -> None:
    accounts = google.accounts
    owner = accounts.register(password=PASSWORD_BEFORE)["user"]["id"]
    accounts.query("UPDATE users SET is_verified = true")
    assert google.post().get_json()["user"]["id"] == owner
    assert accounts.sign_in(password=PASSWORD_BEFORE).status_code == 200
    assert [message["Subject"] for message in accounts.messages()] == ["A new way to sign in was added"]
    google.post()
    assert accounts.messages() == []


def test_whoever_registered_the_address_before_its_owner_came_is_locked_out(google: SignIn) -> None:
    accounts = google.accounts
    mallory = accounts.register(password=PASSWORD_BEFORE)
    answer = google.post()
    assert answer.get_json()["user"] == {**mallory["user"], "is_verified": True}
    assert accounts.sign_in(password=PASSWORD_BEFORE).status_code == 401
    assert accounts.profile(mallory["access_token"]).status_code == 401
    assert accounts.refresh(mallory["refresh_token"]).status_code == 401
    assert accounts.profile(answer.get_json()["access_token"]).status_code == 200
    assert accounts.query("SELECT count(*) FROM known_devices") == [(0,)]
    assert [message["Subject"] for message in accounts.messages()] == [
        "Someone else had registered your e-mail address"
    ]


def test_row_61d_what_one_provider_signed_is_nothing_to_the_other(accounts: Accounts) -> None:
    """Both know our audience, and the nonce is right for either."""
    with IdentityIssuer("https://accounts.google.com") as first, IdentityIssuer("https://appleid.apple.com") as second:
        google, apple = SignIn(accounts, first, GOOGLE), SignIn(accounts, second, APPLE)
        for ours, theirs in ((google, apple), (apple, google)):
            nonce = ours.provider.nonce_claim(NONCE)
            with rising(mirroros_sign_ins_total={f'method="{ours.provider.name}",outcome="failed"': 1}):
                assert ours.post(theirs.token(nonce=nonce)).status_code == 401
            assert ours.post(theirs.token(nonce=nonce, iss=ours.issuer.issuer)).status_code == 401
        assert google.users() == 0
        assert google.post().status_code == 200


def test_keys_that_somebody_made_before_the_owner_came_stop(google: SignIn) -> None:
    mallory = KeyHolder(google.accounts)
    key = mallory.key()
    assert mallory.use(key["token"]).status_code == 200
    google.post()
    assert mallory.use(key["token"]).status_code == 401


def test_twenty_first_sign_ins_at_once_make_one_account(google: SignIn) -> None:
    start = threading.Barrier(20)

    def sign_in(_: int) -> int:
        start.wait()
        return google.post().status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(sign_in, range(20))) == {200}
    assert google.users() == 1


def test_a_disabled_account_stays_closed(google: SignIn) -> None:
    google.post()
    google.accounts.query("UPDATE users SET is_active = false")
    assert google.post().status_code == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "com.other.app"},
        {"aud": [AUDIENCE, "com.other.app"]},
        {"iss": "https://mallory.example.com"},
        {"iss": "https://appleid.apple.com"},
        {"exp": 1},
        {"iat": 9_999_999_999},
        {"nonce": "another-nonce-of-another-sign-in"},
        {"nonce": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "line\nbreak"},
        {"exp": "tomorrow"},
        {"email_verified": False},
        {"email_verified": "false"},
        {"email": "not an address"},
        *({"without": name} for name in ("iss", "aud", "sub", "iat", "exp", "nonce", "email", "email_verified")),
    ],
    ids=repr,
)
def test_a_token_that_proves_less_is_refused_and_changes_nothing(google: SignIn, claims: dict[str, Any]) -> None:
    answer = google.post(google.token(**claims))
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_id_token")
    assert google.users() == 0


def forged(token: str, **header: Any) -> str:
    _, payload, signature = token.split(".")
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{head}.{payload}.{signature}"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": "key-1"},
        {"alg": "HS256", "kid": "key-1"},
        {"alg": "ES256", "kid": "key-1"},
        {"alg": "RS256"},
        {"alg": "RS256", "kid": 1},
        {"alg": "RS256", "kid": "../../etc/passwd"},
        {"alg": "RS256", "kid": "key-1", "crit": ["b64"]},
        {"alg": "RS256", "kid": "key-1", "jku": "http://127.0.0.1:1/keys"},
    ],
    ids=repr,
)
def test_a_forged_header_is_refused(google: SignIn, header: dict[str, Any]) -> None:
    assert google.post(forged(google.token(), **header)).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "." * 50, "[" * 5000])
def test_garbage_is_refused(google: SignIn, token: str) -> None:
    assert google.post(token).status_code == 401


def test_the_nonce_of_another_sign_in_is_refused(google: SignIn) -> None:
    assert google.post(nonce=secrets.token_urlsafe(24)).status_code == 401


def test_unknown_fields_are_refused(google: SignIn) -> None:
    body = {"id_token": google.token(), "nonce": NONCE, "tier": "enterprise"}
    assert google.accounts.post("/google", body).status_code == 422


@pytest.mark.parametrize("fault", ["status", "redirect", "garbage", "large"])
def test_nobody_is_let_in_while_the_keys_cannot_be_had(google: SignIn, fault: str) -> None:
    google.issuer.fault = fault
    answer = google.post()
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert google.users() == 0


def test_known_keys_carry_over_an_outage_for_a_day(google: SignIn) -> None:
    google.post()
    google.issuer.fault = "status"
    google.accounts.clock.advance(hours=23)
    now = int(google.accounts.clock.now.timestamp())
    assert google.post(google.token(iat=now, exp=now + 600)).status_code == 200
    google.accounts.clock.advance(hours=2)
    now = int(google.accounts.clock.now.timestamp())
    assert google.post(google.token(iat=now, exp=now + 600)).status_code == 503


def test_keys_are_fetched_once_and_again_when_a_new_one_signs(google: SignIn) -> None:
    google.post()
    google.post()
    assert google.issuer.fetches == 1
    google.issuer.add_key("key-2")
    google.accounts.clock.advance(minutes=2)
    assert google.post(google.token(key_id="key-2")).status_code == 200
    assert google.issuer.fetches == 2


def test_invented_key_ids_lead_to_one_fetch_a_minute(google: SignIn) -> None:
    google.post()
    google.accounts.clock.advance(minutes=2)
    for number in range(20):
        google.post(forged(google.token(), alg="RS256", kid=f"invented-{number}"))
    assert google.issuer.fetches == 2


def test_a_provider_without_an_audience_has_no_route(accounts: Accounts) -> None:
    accounts.app.register_blueprint(provider_routes(accounts.auth, []))
    assert accounts.post("/apple", {"id_token": "x", "nonce": NONCE}).status_code == 404


def test_an_account_with_a_second_factor_is_asked_for_it_here_too(google: SignIn) -> None:
    alice = FactorOwner(google.accounts)
    google.accounts.query("UPDATE users SET is_verified = true")
    alice.turn_on_totp()
    for token in (None, google.token()):  # the first one links the identity, the second one finds it linked
        answer = google.post(token)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "mfa_required")
        assert "access_token" not in answer.get_json()
    finished = alice.finish(answer.get_json()["challenge"], totp_code=alice.code())
    assert finished.status_code == 200
    assert google.accounts.events(alice.user_id).count("identity_linked") == 1
    query = "SELECT detail FROM security_events WHERE event = 'signed_in'"
    assert google.accounts.query(query) == [({"method": "google", "second_factor": "totp"},)]


def test_the_second_factors_of_whoever_registered_an_address_unproved_are_no_back_door(google: SignIn) -> None:
    mallory = FactorOwner(google.accounts)  # at the address of alice, who comes later
    mallory.turn_on_totp()
    passkey = mallory.add_passkey()
    waiting = mallory.begin_sign_in()
    assert google.post().status_code == 200
    options = google.accounts.post("/passkeys/sign-in/options").get_json()["options"]
    assert google.accounts.post("/passkeys/sign-in", {"credential": passkey.get(options)}).status_code == 401
    assert mallory.finish(waiting, totp_code=mallory.code()).status_code == 401
    for table in ("passkeys", "totp_secrets", "recovery_codes"):
        assert google.accounts.query(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_closed_account_is_opened_again_only_by_who_asks_for_it(google: SignIn) -> None:
    accounts = google.accounts
    first = google.post().get_json()
    assert accounts.client.delete("/api/auth/profile", headers=bearer(first["access_token"])).status_code == 200
    refused = google.post()
    assert (refused.status_code, refused.get_json()["error"]) == (403, "account_closing")
    again = google.post(restore_account=True).get_json()
    assert again["user"]["id"] == first["user"]["id"]
    assert accounts.profile(again["access_token"]).status_code == 200
    assert accounts.profile(first["access_token"]).status_code == 401
    assert accounts.events().count("account_restored") == 1


def test_an_account_that_was_switched_off_by_us_is_not_opened_again(google: SignIn) -> None:
    google.post()
    google.accounts.query("UPDATE users SET is_active = false")
    answer = google.post(restore_account=True)
    assert (answer.status_code, answer.get_json()["error"]) == (403, "account_disabled")


def test_a_web_page_gets_its_refresh_token_in_a_cookie(google: SignIn) -> None:
    wish = {"id_token": google.token(), "nonce": NONCE, "token_delivery": "cookie", "device_name": "Firefox"}
    answer = google.accounts.post("/google", wish, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["Set-Cookie"].startswith("__Host-rt=rt_")
    assert "refresh_token" not in answer.get_json()
    assert google.accounts.query("SELECT device_name FROM sessions") == [("Firefox",)]
    refused = google.accounts.post("/google", wish, headers={"Sec-Fetch-Site": "cross-site"})
    assert (refused.status_code, refused.get_json()["error"]) == (403, "csrf_failed")


def test_whoever_waited_at_an_unproved_address_cannot_move_the_account_away_afterwards(google: SignIn) -> None:
    mallory = google.accounts.register("alice@example.com", PASSWORD_BEFORE)
    wanted = {"new_email": "mallory@example.com"}
    google.accounts.post("/email/change", wanted, headers=bearer(mallory["access_token"]))
    (message,) = google.accounts.messages()
    assert google.post().status_code == 200
    assert google.accounts.post("/email/confirm", {"token": token_in(message)}).status_code == 400
    assert google.accounts.query("SELECT email FROM users") == [("alice@example.com",)]


# --- addresses that Google once verified and does not host ------------------------------------------------------------


def elsewhere(google: SignIn, **claims: Any) -> str:
    """A token of a Google account that was made with an address of another mail provider."""
    return google.token(without="hd", **claims)


@pytest.mark.parametrize("is_verified", [True, False])
def test_an_address_that_google_does_not_host_opens_nobodys_account(google: SignIn, is_verified: bool) -> None:
    accounts = google.accounts
    owner = accounts.register(password=PASSWORD_BEFORE)
    accounts.query("UPDATE users SET is_verified = :is_verified", is_verified=is_verified)
    answer = google.post(elsewhere(google))
    assert (answer.status_code, answer.get_json()["error"]) == (409, "address_needs_proof")
    assert accounts.query("SELECT count(*) FROM identities") == [(0,)]
    assert accounts.sign_in(password=PASSWORD_BEFORE).status_code == 200
    assert accounts.profile(owner["access_token"]).status_code == 200


def test_who_proves_the_account_in_the_ordinary_way_links_it_then(google: SignIn) -> None:
    accounts = google.accounts
    owner = accounts.register(password=PASSWORD_BEFORE)
    assert google.post(elsewhere(google)).status_code == 409
    tokens = accounts.sign_in(password=PASSWORD_BEFORE).get_json()
    body = {"id_token": elsewhere(google), "nonce": NONCE}
    assert accounts.post("/identities/google", body, headers=bearer(tokens["access_token"])).status_code == 200
    assert google.post(elsewhere(google)).get_json()["user"]["id"] == owner["user"]["id"]


def test_a_gmail_account_is_googles_own(google: SignIn) -> None:
    owner = google.accounts.register("alice@gmail.com")["user"]["id"]
    assert google.post(elsewhere(google, email="Alice@gmail.com")).get_json()["user"]["id"] == owner


def test_a_name_that_ends_like_gmail_is_not(google: SignIn) -> None:
    google.accounts.register("alice@notgmail.com")
    assert google.post(elsewhere(google, email="alice@notgmail.com")).status_code == 409


def test_apple_answers_for_its_addresses(apple: SignIn) -> None:
    owner = apple.accounts.register()["user"]["id"]
    assert apple.post().get_json()["user"]["id"] == owner


def test_a_new_account_at_such_an_address_is_unverified_until_the_mail_is_answered(google: SignIn) -> None:
    accounts = google.accounts
    answer = google.post(elsewhere(google))
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["user"]["is_verified"] is False
    (message,) = accounts.messages()
    assert (message["To"], message["Subject"]) == ("alice@example.com", "Confirm your e-mail address")
    assert google.post(elsewhere(google)).status_code == 200
    assert accounts.post("/verify-email", {"token": token_in(message)}).status_code == 204
    assert accounts.query("SELECT is_verified FROM users") == [(True,)]


def test_whoever_reads_the_mail_of_such_an_address_gets_the_account_and_the_other_one_is_out(google: SignIn) -> None:
    accounts = google.accounts
    google.post(elsewhere(google))
    accounts.messages()
    accounts.post("/forgot-password", {"email": "alice@example.com"})
    (message,) = accounts.messages()
    body = {"token": token_in(message), "new_password": PASSWORD_BEFORE}
    assert accounts.post("/reset-password", body).status_code == 204
    assert accounts.sign_in(password=PASSWORD_BEFORE).status_code == 200
    assert google.post(elsewhere(google)).status_code == 409


def test_first_sign_ins_at_once_from_such_an_address_are_one_account(google: SignIn) -> None:
    token = elsewhere(google)
    with ThreadPoolExecutor(8) as pool:
        assert {answer.status_code for answer in pool.map(lambda _: google.post(token), range(8))} == {200}
    assert google.users() == 1
    assert google.accounts.events().count("registered") == 1


def test_what_an_intruder_linked_is_gone_when_the_owner_of_an_unproved_address_comes(accounts: Accounts) -> None:
    with IdentityIssuer("https://accounts.google.com") as first, IdentityIssuer("https://appleid.apple.com") as second:
        google, apple = SignIn(accounts, first, GOOGLE), SignIn(accounts, second, APPLE)
        google.post(elsewhere(google))
        assert apple.post().status_code == 200
        assert accounts.query("SELECT provider FROM identities") == [("apple",)]
        assert google.post(elsewhere(google)).status_code == 409


def test_an_address_that_an_account_can_come_back_to_is_kept_for_it(google: SignIn) -> None:
    accounts = google.accounts
    thief = accounts.register(password=PASSWORD_BEFORE)
    accounts.post("/email/change", {"new_email": "mallory@example.com"}, headers=bearer(thief["access_token"]))
    (message,) = accounts.messages()
    accounts.post("/email/confirm", {"token": token_in(message)})
    (undo,) = accounts.messages()
    refused = google.post()
    assert (refused.status_code, refused.get_json()["error"]) == (409, "email_taken")
    assert google.users() == 1
    assert accounts.post("/email/undo", {"token": token_in(undo)}).status_code == 204
    assert google.post().get_json()["user"]["id"] == thief["user"]["id"]


def test_a_token_is_good_for_ten_minutes_however_long_the_provider_says(google: SignIn) -> None:
    now = int(google.accounts.clock().timestamp())
    assert google.post(google.token(iat=now - 700, exp=now + 3000)).status_code == 401
    assert google.post(google.token(iat=now - 500, exp=now + 3000)).status_code == 200
