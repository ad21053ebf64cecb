"""The refresh token in a cookie, for web apps, and what other sites can do with it: nothing."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth.sessions.cookies import COOKIE
from auth.tokens.refresh_token import RefreshTokens, read_refresh_token
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts

WEB = "https://app.example.com"
OWN = "https://api.example.com"
CREDENTIALS = {"email": "alice@example.com", "password": PASSWORD, "token_delivery": "cookie"}
FROM_WEB = {"Origin": WEB, "Sec-Fetch-Site": "same-site"}


@pytest.fixture
def web(make_accounts: MakeAccounts) -> Iterator["Web"]:
    accounts = make_accounts(web_origins=frozenset({WEB}))
    accounts.register()
    yield Web(accounts)


@dataclass
class Browser:
    """What a web app holds after a sign-in."""

    cookie: str
    csrf_token: str
    access_token: str

    def headers(self, **changes: str | None) -> dict[str, str]:
        """Those of a rightful request. A name that is changed to None is left out."""
        sent = {**FROM_WEB, "X-CSRF-Token": self.csrf_token, "Cookie": f"{COOKIE}={self.cookie}"}
        named = {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in {**sent, **named}.items() if value is not None}


@dataclass
class Web:
    accounts: Accounts

    def post(self, path: str, headers: dict[str, str], **options: Any) -> TestResponse:
        client = self.accounts.app.test_client(use_cookies=False)
        if not options:
            options = {"json": {}}
        return client.post(f"/api/auth{path}", headers=headers, **options)

    def sign_in(self, **changes: Any) -> Browser:
        answer = self.post("/login", FROM_WEB, json={**CREDENTIALS, **changes})
        assert answer.status_code == 200, answer.text
        return held(answer)

    def lives(self, browser: Browser) -> bool:
        return self.accounts.profile(browser.access_token).status_code == 200

    def generations(self) -> list[int]:
        return [row[0] for row in self.accounts.query("SELECT generation FROM sessions ORDER BY id")]


def cookie_of(answer: TestResponse) -> "Morsel[str]":
    (line,) = answer.headers.getlist("Set-Cookie")
    return SimpleCookie(line)[COOKIE]


def held(answer: TestResponse) -> Browser:
    body = answer.get_json()
    return Browser(cookie_of(answer).value, body["csrf_token"], body["access_token"])


def test_the_cookie_can_be_read_by_no_script_and_planted_by_no_other_host(web: Web) -> None:
    answer = web.post("/login", FROM_WEB, json=CREDENTIALS)
    cookie = cookie_of(answer)
    assert cookie.key.startswith("__Host-")
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Strict")
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/", "", "")
    assert "refresh_token" not in answer.get_json()
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_remembered_session_outlives_the_browser(web: Web) -> None:
    answer = web.post("/login", FROM_WEB, json={**CREDENTIALS, "remember_me": True})
    assert int(cookie_of(answer)["max-age"]) == 90 * 24 * 3600


def test_an_app_gets_its_token_in_the_body_and_no_cookie(web: Web) -> None:
    answer = web.accounts.sign_in()
    assert answer.headers.getlist("Set-Cookie") == []
    assert "csrf_token" not in answer.get_json()
    assert answer.get_json()["refresh_token"].startswith("rt_")


def test_a_registration_can_ask_for_the_cookie_too(web: Web) -> None:
    answer = web.post("/register", FROM_WEB, json={**CREDENTIALS, "email": "bob@example.com"})
    assert answer.status_code == 201
    assert cookie_of(answer).value.startswith("rt_")
    assert "refresh_token" not in answer.get_json()


def test_the_cookie_is_traded_for_its_successor(web: Web) -> None:
    browser = web.sign_in()
    answer = web.post("/refresh", browser.headers())
    assert answer.status_code == 200
    assert "refresh_token" not in answer.get_json()
    after = held(answer)
    assert after.cookie != browser.cookie
    assert web.lives(after)
    assert web.post("/refresh", after.headers()).status_code == 200


def test_the_csrf_token_of_a_session_stays_good_for_it(web: Web) -> None:
    """Two tabs refresh at once, and the second has the first's cookie already."""
    browser = web.sign_in()
    after = held(web.post("/refresh", browser.headers()))
    assert web.post("/refresh", Browser(after.cookie, browser.csrf_token, "").headers()).status_code == 200


@pytest.mark.parametrize(
    "trusted",
    [
        {"Sec_Fetch_Site": "same-origin", "Origin": OWN},
        {"Sec_Fetch_Site": "same-origin", "Origin": None},
        {"Sec_Fetch_Site": None, "Origin": OWN},
        {"Sec_Fetch_Site": None, "Origin": WEB},
        {"Sec_Fetch_Site": None, "Origin": None, "Referer": f"{WEB}/account?tab=1"},
        {"Content_Type": "application/json; charset=utf-8"},
    ],
)
def test_our_own_pages_may_send_it(web: Web, trusted: dict[str, str | None]) -> None:
    browser = web.sign_in()
    answer = web.post("/refresh", browser.headers(**trusted), data="{}", content_type="application/json")
    assert answer.status_code == 200, answer.text


UNTRUSTED: list[dict[str, str | None]] = [
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "cross-site", "Origin": OWN},
    {"Sec_Fetch_Site": "nonsense"},
    {"Sec_Fetch_Site": None, "Origin": None},
    {"Sec_Fetch_Site": "same-site", "Origin": None},
    {"Origin": "https://evil.example"},
    {"Origin": "https://other.example.com"},
    {"Origin": "null"},
    {"Origin": "http://app.example.com"},
    {"Origin": "https://app.example.com.evil.org"},
    {"Origin": "https://app.example.com:8443"},
    {"Sec_Fetch_Site": None, "Origin": None, "Referer": "https://evil.example/https://app.example.com"},
    {"Sec_Fetch_Site": None, "Origin": None, "Referer": "https://app.example.com@evil.example/"},
    {"Sec_Fetch_Site": None, "Origin": None, "Referer": "https://[::1"},
    {"Sec_Fetch_Site": None, "Origin": "null", "Referer": f"{WEB}/"},
]
WRONG_TOKENS: list[dict[str, str | None]] = [
    {"X_CSRF_Token": None},
    {"X_CSRF_Token": ""},
    {"X_CSRF_Token": "x"},
    {"X_CSRF_Token": f"{'A' * 43}.{'A' * 22}"},
    {"X_CSRF_Token": "é.é"},
]


@pytest.mark.parametrize("changes", UNTRUSTED + WRONG_TOKENS)
@pytest.mark.parametrize("path", ["/refresh", "/logout"])
def test_another_site_can_neither_refresh_nor_sign_out(web: Web, path: str, changes: dict[str, str | None]) -> None:
    browser = web.sign_in()
    answer = web.post(path, browser.headers(**changes))
    assert (answer.status_code, answer.get_json()["error"]) == (403, "csrf_failed")
    assert answer.headers.getlist("Set-Cookie") == []
    assert web.lives(browser)
    assert set(web.generations()) == {0}


def test_the_csrf_token_of_another_session_is_refused(web: Web) -> None:
    browser, other = web.sign_in(), web.sign_in()
    assert web.post("/refresh", browser.headers(X_CSRF_Token=other.csrf_token)).status_code == 403
    web.accounts.register("mallory@example.com")
    mallory = web.sign_in(email="mallory@example.com")
    assert web.post("/refresh", browser.headers(X_CSRF_Token=mallory.csrf_token)).status_code == 403
    assert web.generations() == [0] * 5


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_can_send_is_refused(web: Web, content_type: str) -> None:
    browser = web.sign_in()
    for path in ("/refresh", "/logout"):
        answer = web.post(path, browser.headers(), data="{}", content_type=content_type)
        assert answer.status_code == 415
    assert web.lives(browser)


@pytest.mark.parametrize("content_type", ["text/plain", ""])
def test_an_empty_request_that_a_form_can_send_is_refused(web: Web, content_type: str) -> None:
    browser = web.sign_in()
    answer = web.post("/logout", browser.headers(), data=b"", content_type=content_type)
    assert (answer.status_code, answer.get_json()["error"]) == (403, "csrf_failed")
    assert web.lives(browser)


@pytest.mark.parametrize("changes", UNTRUSTED)
def test_another_site_cannot_sign_a_visitor_in(web: Web, changes: dict[str, str | None]) -> None:
    headers = Browser("", "", "").headers(Cookie=None, X_CSRF_Token=None, **changes)
    for path, status in (("/login", 403), ("/register", 403)):
        answer = web.post(path, headers, json={**CREDENTIALS, "email": "bob@example.com"})
        assert (answer.status_code, answer.get_json()["error"]) == (status, "csrf_failed")
    assert web.accounts.query("SELECT count(*) FROM users") == [(1,)]


def test_signing_out_ends_the_session_and_takes_the_cookie_away(web: Web) -> None:
    browser = web.sign_in()
    answer = web.post("/logout", browser.headers())
    assert answer.status_code == 204
    cookie = cookie_of(answer)
    assert (cookie.value, cookie["max-age"], cookie["path"], cookie["secure"]) == ("", "0", "/", True)
    assert not web.lives(browser)
    assert web.post("/refresh", browser.headers()).status_code == 401


def test_of_a_cookie_and_a_bearer_token_the_bearer_token_counts(web: Web) -> None:
    web.accounts.register("bob@example.com")
    alice, bob = web.sign_in(), web.sign_in(email="bob@example.com")
    headers = {**alice.headers(), **bearer(bob.access_token)}
    assert web.accounts.app.test_client(use_cookies=False).get("/api/auth/profile", headers=headers).get_json()[
        "email"
    ] == ("bob@example.com")
    assert web.post("/logout", headers).status_code == 204
    assert (web.lives(alice), web.lives(bob)) == (True, False)


def test_a_bearer_token_opens_no_way_around_the_checks_of_the_cookie(web: Web) -> None:
    alice, other = web.sign_in(), web.accounts.sign_in().get_json()
    headers = {**alice.headers(X_CSRF_Token=None), **bearer(other["access_token"])}
    assert web.post("/refresh", headers).status_code == 403
    assert web.post("/logout", {**headers, "Authorization": "Bearer a b"}).status_code == 401
    assert web.lives(alice)


def test_of_a_cookie_and_a_token_in_the_body_the_body_counts(web: Web) -> None:
    alice = web.sign_in()
    phone = web.accounts.sign_in().get_json()
    answer = web.post("/refresh", alice.headers(), json={"refresh_token": phone["refresh_token"]})
    assert answer.get_json()["refresh_token"].startswith("rt_")
    assert answer.headers.getlist("Set-Cookie") == []
    assert web.generations() == [0, 0, 1]


def test_the_cookie_opens_nothing_else(web: Web) -> None:
    browser = web.sign_in()
    client = web.accounts.app.test_client(use_cookies=False)
    for path in ("/profile", "/sessions", "/export"):
        assert client.get(f"/api/auth{path}", headers=browser.headers()).status_code == 401
    assert client.delete("/api/auth/profile", headers=browser.headers()).status_code == 401


def test_a_cookie_that_was_there_before_the_sign_in_is_not_the_session_after_it(web: Web) -> None:
    planted = web.sign_in()
    answer = web.post("/login", planted.headers(), json=CREDENTIALS)
    assert cookie_of(answer).value[:30] != planted.cookie[:30]
    sessions = web.accounts.query("SELECT id FROM sessions")
    assert len(sessions) == 3


@pytest.mark.parametrize("value", ["", "nonsense", "rt_", "rt_" + "A" * 77, "\xe9"])
def test_a_cookie_that_is_no_token_is_refused(web: Web, value: str) -> None:
    browser = web.sign_in()
    answer = web.post("/refresh", browser.headers(Cookie=f"{COOKIE}={value}"))
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_grant")


def test_a_spent_cookie_ends_the_session(web: Web) -> None:
    browser = web.sign_in()
    after = held(web.post("/refresh", browser.headers()))
    web.accounts.clock.advance(minutes=2)
    assert web.post("/refresh", browser.headers()).status_code == 401
    assert not web.lives(after)


def test_without_cookie_and_token_there_is_nothing_to_refresh(web: Web) -> None:
    answer = web.post("/refresh", FROM_WEB)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_grant")


@pytest.mark.parametrize("path", ["/login", "/register", "/refresh", "/logout"])
def test_a_listed_page_may_send_cookies_where_they_are_used(web: Web, path: str) -> None:
    client = web.accounts.app.test_client()
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-csrf-token"}
    for answer in (
        client.options(f"/api/auth{path}", headers={"Origin": WEB, **asked}),
        client.post(f"/api/auth{path}", headers={"Origin": WEB}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == WEB
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    preflight = client.options(f"/api/auth{path}", headers={"Origin": WEB, **asked})
    assert preflight.headers["Access-Control-Allow-Headers"] == "content-type, x-csrf-token"


def test_no_other_page_may_and_nowhere_else(web: Web) -> None:
    client = web.accounts.app.test_client()
    for origin in ("https://evil.example", "null"):
        refused = client.post("/api/auth/refresh", headers={"Origin": origin})
        assert "Access-Control-Allow-Credentials" not in refused.headers
        assert "Access-Control-Allow-Origin" not in refused.headers
    for path in ("/profile", "/sessions", "/reauthenticate"):
        answer = client.get(f"/api/auth{path}", headers={"Origin": WEB})
        assert "Access-Control-Allow-Credentials" not in answer.headers


def csrf_token(web: Web, headers: dict[str, str]) -> TestResponse:
    return web.accounts.app.test_client(use_cookies=False).get("/api/auth/csrf-token", headers=headers)


def test_a_page_that_was_loaded_anew_gets_a_csrf_token_by_its_cookie(web: Web) -> None:
    browser = web.sign_in()
    answer = csrf_token(web, browser.headers(X_CSRF_Token=None))
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    anew = Browser(browser.cookie, answer.get_json()["csrf_token"], "")
    assert anew.csrf_token != browser.csrf_token
    assert web.post("/refresh", anew.headers()).status_code == 200


@pytest.mark.parametrize("changes", UNTRUSTED)
def test_another_site_gets_no_csrf_token(web: Web, changes: dict[str, str | None]) -> None:
    answer = csrf_token(web, web.sign_in().headers(X_CSRF_Token=None, **changes))
    assert (answer.status_code, answer.get_json()["error"]) == (403, "csrf_failed")


def test_who_only_knows_the_id_of_a_session_gets_no_csrf_token_of_it(web: Web) -> None:
    browser = web.sign_in()
    presented = read_refresh_token(browser.cookie)
    assert presented is not None
    forged = RefreshTokens(secrets.token_bytes(32)).issue(presented.session_id, 0, secrets.token_bytes(32))
    for headers in (browser.headers(Cookie=f"{COOKIE}={forged}"), browser.headers(Cookie=f"{COOKIE}=x"), FROM_WEB):
        answer = csrf_token(web, headers)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_grant")


def test_a_session_that_ended_has_no_csrf_token(web: Web) -> None:
    browser = web.sign_in()
    web.post("/logout", browser.headers())
    assert csrf_token(web, browser.headers()).status_code == 401


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost:3000"}, OWN),
        ({"Origin": "https://www.example.com"}, "CORS_ORIGINS"),
        ({"X_CSRF_Token": None}, "X-CSRF-Token"),
    ],
)
def test_a_refusal_says_what_to_change(web: Web, changes: dict[str, str | None], said: str) -> None:
    answer = web.post("/refresh", web.sign_in().headers(**changes))
    assert (answer.status_code, answer.get_json()["error"]) == (403, "csrf_failed")
    assert said in answer.get_json()["message"]
    as_a_form = web.post("/refresh", web.sign_in().headers(), data=b"{}", content_type="text/plain")
    assert "application/json" in as_a_form.get_json()["message"]
