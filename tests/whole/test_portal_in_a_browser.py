"""The portal in a real browser, under the policy that production sends: signing in, every page, making a key."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import CHROMIUM, PHONE_WIDTH, complaints_of
from tests.whole.test_dashboard_in_a_browser import look_over
from tests.whole.web_server import WebServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@pytest.fixture
def page(browser: Browser, web_server: WebServer) -> Iterator[Page]:
    page = browser.new_page(base_url=f"http://127.0.0.1:{web_server.port}")
    complaints = complaints_of(page, f"http://127.0.0.1:{web_server.port}")
    yield page
    page.close()
    assert complaints == []


def test_a_customer_signs_in_looks_at_every_page_and_makes_a_key(page: Page, web_server: WebServer) -> None:
    customer = web_server.register("customer")
    page.goto("/portal/sign-in")
    look_over(page)
    page.get_by_label("E-mail address").fill(customer.email)
    page.get_by_label("Password").fill(customer.password)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.goto("/portal/keys/new")
    look_over(page)
    page.get_by_label("Name").fill("My program")
    page.get_by_role("button", name="Create key").click()
    expect(page.locator(".secret")).to_contain_text("tok_")
    look_over(page)
    navigation = page.get_by_role("navigation", name="Portal")
    titles = navigation.get_by_role("link").all_inner_texts()
    assert {"Overview", "Requests", "Budget", "Statements", "API keys"} <= set(titles)
    for title in titles:
        page.set_viewport_size({"width": 1280, "height": 800})
        navigation.get_by_role("link", name=title, exact=True).click()
        look_over(page)
    page.set_viewport_size({"width": PHONE_WIDTH, "height": 800})
    page.goto("/portal/budget")
    page.get_by_label("Budget a month").fill("20")
    page.get_by_role("button", name="Save budget").click()
    expect(page.get_by_text("The budget is set.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
