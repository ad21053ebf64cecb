"""The pages below /account that messages lead to."""

import re
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect
from werkzeug.serving import make_server

from auth.email.pages import PAGES
from auth.mail.messages import PAGES as LINKED
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.message_parts import code_in, link_in
from tests.browser import CHROMIUM, complaints_of

PATHS = [f"/account{page.path}" for page in PAGES]
PHONE: ViewportSize = {"width": 375, "height": 667}
NEW_PASSWORD = " tulip harbour 8143 "


def test_every_link_of_an_email_leads_to_a_page_and_every_page_posts_to_a_route(accounts: Accounts) -> None:
    assert set(LINKED.values()) <= set(PATHS)
    rules = {rule.rule for rule in accounts.app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    assert {page.posts_to for page in PAGES} <= rules


@pytest.mark.parametrize("path", PATHS)
def test_a_page_allows_nothing_inline_and_nothing_from_elsewhere_and_is_not_kept(accounts: Accounts, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = accounts.client.open(path, method=method)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        (policy,) = answer.headers.getlist("Content-Security-Policy")
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Frame-Options"] == "DENY"
    page = accounts.client.get(path).text
    assert not re.findall(r'(?:src|href)="(?!/account/|data:,")', page)
    assert not re.findall(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", page)
    assert '<html lang="en">' in page
    inputs = re.findall(r'<input id="([a-z_]+)"', page)
    assert re.findall(r'<label for="([a-z_]+)"', page) == inputs


def test_assets_can_be_kept(accounts: Accounts) -> None:
    for name in ("account-pages.js", "account-pages.css", "page.css"):
        with accounts.client.get(f"/account/assets/{name}") as answer:
            assert answer.headers["Cache-Control"] == "public, no-cache"
    assert accounts.client.get("/account/assets/../account_pages.py").status_code == 404


def test_a_scanner_that_opens_every_link_of_every_email_changes_nothing(accounts: Accounts) -> None:
    tokens = accounts.register()
    accounts.post("/resend-verification", {"email": "alice@example.com"})
    accounts.post("/forgot-password", {"email": "alice@example.com"})
    accounts.post("/email/change", {"new_email": "alice@new.example"}, headers=bearer(tokens["access_token"]))
    links = [link_in(message) for message in accounts.messages()]
    assert len(links) == 3
    state = "SELECT (SELECT json_agg(u) FROM users u)::text, (SELECT json_agg(c) FROM one_time_codes c)::text"
    before = accounts.query(state)
    for link in links:
        address = link.removeprefix("https://api.example.com")
        for method in ("GET", "HEAD"):
            # Once as a browser asks, and once by a scanner that moves the fragment into the query.
            for path in (address.partition("#")[0], address.replace("#", "?")):
                assert accounts.client.open(path, method=method).status_code == 200
    assert accounts.query(state) == before
    assert accounts.messages() == []


@pytest.mark.parametrize("path", PATHS)
def test_a_page_takes_no_post(accounts: Accounts, path: str) -> None:
    assert accounts.client.post(path, data={"token": "x"}).status_code == 405


@pytest.fixture
def address(accounts: Accounts) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, accounts.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(address: str, browser: Browser) -> Iterator[Page]:
    """A page on a phone. Whatever the browser complains of fails the test, but for refusals that a test provokes."""
    page = browser.new_page(viewport=PHONE)
    page.set_default_timeout(60_000)
    complaints = complaints_of(page, address)
    yield page
    page.close()
    assert [each for each in complaints if "Failed to load resource" not in each] == []


def here(link: str, address: str) -> str:
    return link.replace("https://api.example.com", address)


in_a_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


class TestInABrowser:
    pytestmark = in_a_browser

    def test_pressing_the_button_confirms_the_address_and_the_token_leaves_the_address_bar(
        self, accounts: Accounts, address: str, page: Page
    ) -> None:
        accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD})
        (message,) = accounts.messages()
        page.goto(here(link_in(message), address))
        expect(page.get_by_role("button")).to_be_visible()
        assert accounts.query("SELECT is_verified FROM users") == [(False,)]
        page.get_by_role("button").click()
        expect(page.get_by_role("status")).to_contain_text("Your e-mail address is confirmed")
        assert page.url == f"{address}/account/verify-email"
        assert accounts.query("SELECT is_verified FROM users") == [(True,)]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

    def test_a_password_is_reset_with_the_code_after_a_refused_one(
        self, accounts: Accounts, address: str, page: Page
    ) -> None:
        accounts.register()
        page.goto(f"{address}/account/forgot-password")
        page.get_by_role("button").click()
        expect(page.get_by_role("status")).to_have_text("Fill in: E-mail address.")
        page.get_by_label("E-mail address").fill("alice@example.com")
        page.get_by_role("button").click()
        expect(page.get_by_role("status")).to_contain_text("we have sent you an e-mail")
        (message,) = accounts.messages()
        page.get_by_role("link", name="I already have a code").click()
        page.get_by_label("E-mail address").fill("alice@example.com")
        code = code_in(message)
        page.get_by_label("6-digit code").fill(f"{code[:3]} {code[3:]}")
        page.get_by_label("New password").fill("alicealice")
        page.get_by_role("button").click()
        expect(page.get_by_role("status")).to_contain_text("too similar to your e-mail address")
        page.get_by_label("Show password").check()
        page.get_by_label("New password").fill(NEW_PASSWORD)
        page.get_by_role("button").click()
        expect(page.get_by_role("status")).to_contain_text("Your new password is set")
        assert accounts.sign_in(password=NEW_PASSWORD).status_code == 200

    def test_a_spent_link_and_a_broken_one_are_explained(self, accounts: Accounts, address: str, page: Page) -> None:
        page.goto(f"{address}/account/undo-email-change#token=ot_spent")
        page.get_by_role("button").click()
        expect(page.get_by_role("status")).to_contain_text("was used or has expired")
        page.goto(f"{address}/account/forgot-password")
        page.goto(f"{address}/account/undo-email-change")
        expect(page.get_by_role("status")).to_contain_text("Part of the link is missing")
        expect(page.get_by_role("button")).to_be_hidden()
