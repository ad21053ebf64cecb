"""The dashboard in a real browser, under the policy that production sends: signing in, every page of the navigation, live figures."""

import re
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from examples.private_server.server import PrivateServer
from tests.browser import CHROMIUM, PHONE_WIDTH, complaints_of
from tests.conftest import administer
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.test_passkeys_in_a_browser import APP, AUTHENTICATOR, App
from tests.whole.web_server import Person, WebServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

# What a page says to those who do not see it. One finding a line.
FINDINGS = """() => {
    const found = [];
    const name = (element) => element.outerHTML.slice(0, 80);
    if (document.documentElement.lang !== "en") found.push("no language");
    if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
    if (document.querySelectorAll("main").length !== 1) found.push("not one main");
    let level = 1;
    for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
        const its = Number(heading.tagName[1]);
        if (its > level + 1) found.push("skips a level: " + name(heading));
        level = its;
    }
    for (const field of document.querySelectorAll("input:not([type=hidden]):not([hidden]), select, textarea"))
        if (!field.labels.length && !field.ariaLabel) found.push("no label: " + name(field));
    for (const each of document.querySelectorAll("a, button"))
        if (!each.textContent.trim() && !each.ariaLabel) found.push("no name: " + name(each));
    for (const each of document.querySelectorAll("[style], [onclick], a:not([href])"))
        if (!each.closest(".uplot, .xterm")) found.push("not allowed: " + name(each));
    const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
    for (const id of ids.filter((each, index) => ids.indexOf(each) !== index)) found.push("twice the id " + id);
    if (document.documentElement.scrollWidth > innerWidth) found.push("wider than the screen");
    return found;
}"""

POLLED = "async (text) => { await poll(); return document.querySelector('#card-calls b').textContent === text; }"


@pytest.fixture
def page(browser: Browser, web_server: WebServer) -> Iterator[Page]:
    page = browser.new_page(base_url=f"http://127.0.0.1:{web_server.port}")
    complaints = complaints_of(page, f"http://127.0.0.1:{web_server.port}")
    yield page
    page.close()
    assert complaints == []


@pytest.fixture
def admin(web_server: WebServer, shared_database_url: str) -> Person:
    admin = web_server.register("admin")
    administer(
        shared_database_url,
        f"UPDATE users SET role = 'admin', state_version = state_version + 1 WHERE id = '{admin.user_id}'",
    )
    return admin


def look_over(page: Page) -> None:
    """At both widths and in both schemes."""
    for width in (PHONE_WIDTH, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(FINDINGS) == [], f"{page.url} at {width}"


def sign_in(page: Page, person: Person) -> None:
    """Sets up the second factor on the way."""
    page.goto("/admin/sign-in")
    look_over(page)
    page.get_by_label("E-mail address").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Set up your second factor")).to_be_visible()
    look_over(page)
    page.get_by_text("Enter it by hand instead").click()
    secret = page.locator(".secret").inner_text()
    page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    look_over(page)
    page.get_by_role("link", name="Go to the dashboard").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_staff_signs_in_sets_up_a_second_factor_and_looks_at_every_page(page: Page, admin: Person) -> None:
    sign_in(page, admin)
    titles = page.get_by_role("navigation", name="Dashboard").get_by_role("link").all_inner_texts()
    assert titles[0] == "Overview"
    for title in titles:
        page.get_by_role("navigation", name="Dashboard").get_by_role("link", name=title, exact=True).click()
        look_over(page)
        page.set_viewport_size({"width": PHONE_WIDTH, "height": 800})
        page.reload()
        here = page.locator("nav [aria-current=page]")
        expect(here).to_have_text(title)
        expect(here).to_be_in_viewport(ratio=1)
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_keyboard_alone_skips_the_navigation(page: Page, admin: Person) -> None:
    sign_in(page, admin)
    page.reload()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_overview_follows_what_happens_and_says_when_it_cannot(
    page: Page, admin: Person, web_server: WebServer
) -> None:
    sign_in(page, admin)
    calls = page.locator("#card-calls b")
    before = int(calls.inner_text().replace(",", ""))
    assert web_server.predict(web_server.register("alice")).status == 200
    page.wait_for_function(POLLED, arg=f"{before + 1:,}", polling=500)

    page.route("**/overview/figures", lambda route: route.fulfill(body="<p>The proxy is busy</p>"))
    page.evaluate("poll()")
    stale = page.locator("#stale")
    expect(stale).to_have_text(re.compile("^Not updated since .* UTC. Trying again every 5 seconds.$"))
    page.unroute("**/overview/figures")
    page.evaluate("poll()")
    expect(stale).to_be_hidden()


def test_a_passkey_is_the_second_factor(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer, browser: Browser
) -> None:
    """On http://localhost, as in development, so the cookie has no prefix there."""
    environ = production_environment(database_url, private.url, redis_url)
    del environ["PUBLIC_BASE_URL"]
    server = start_web_server({**environ, "FLASK_ENV": "development", "BCRYPT_COST": "4"}, processes=1)
    page = browser.new_page(base_url=f"http://localhost:{server.port}")
    page.add_init_script(APP)
    page.goto("/account/forgot-password")
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    app = App(page)
    app.register_passkey()
    administer(database_url, "UPDATE users SET role = 'support', state_version = state_version + 1")

    page.goto("/admin/sign-in")
    page.get_by_label("E-mail address").fill(app.credentials["email"])
    page.get_by_label("Password").fill(app.credentials["password"])
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert {each["name"] for each in page.context.cookies()} >= {"mirroros-admin", "mirroros-admin-device"}

    administer(database_url, "UPDATE sessions SET auth_time = auth_time - interval '6 minutes'")
    page.goto("/admin/second-factor")
    page.get_by_label("Password").fill(app.credentials["password"])
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page.get_by_role("heading", name="Set up your second factor")).to_be_visible()
    page.close()
