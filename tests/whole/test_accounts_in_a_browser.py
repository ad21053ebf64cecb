"""An admin in a real browser: finds an account, sees what it just did, and changes it."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser import CHROMIUM
from tests.whole.test_dashboard_in_a_browser import admin, look_over, page, sign_in  # noqa: F401 - fixtures
from tests.whole.web_server import Person, WebServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


def test_an_admin_finds_an_account_and_gives_it_a_tier(
    page: Page, admin: Person, web_server: WebServer  # noqa: F811
) -> None:
    alice = web_server.register("alice")
    assert web_server.predict(alice).status == 200
    sign_in(page, admin)

    page.goto("/admin/accounts")
    page.get_by_label("Find an account").fill(alice.email)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=alice.email)).to_be_visible()
    expect(page.get_by_role("table", name="Usage today")).to_contain_text("1 of 5")
    look_over(page)
    page.get_by_role("table", name="Recent calls").get_by_role("link").first.click()
    expect(page.get_by_role("main")).to_contain_text("delivered")
    look_over(page)

    page.go_back()
    page.get_by_role("link", name="Set tier").click()
    page.get_by_label("Tier").select_option("pro")
    page.get_by_label("Reason").fill("Ticket 4711: a gift")
    look_over(page)
    page.get_by_label("Ends on").fill(f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}")
    page.get_by_role("button", name="Set tier").click()
    expect(page.get_by_role("status")).to_have_text("The tier was set.")
    expect(page.get_by_role("table", name="Usage today")).to_contain_text("1 of 100")
    expect(page.get_by_role("table", name="Security events")).to_contain_text("Ticket 4711: a gift")
    assert web_server.predict(alice).status == 200
    look_over(page)
