"""The documentation of the real API in a real browser, under the policy that production sends."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import CHROMIUM, complaints_of
from tests.whole.web_server import WebServer


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(
    ("path", "opened", "inside"),
    [
        ("/docs", "#operations-gateway-createPrediction button", "text=Request body"),
        ("/redoc", "button:has-text('429')", "text=Response Headers"),
    ],
)
def test_every_operation_is_shown_without_a_complaint(
    web_server: WebServer, browser: Browser, tmp_path: Path, *, path: str, opened: str, inside: str
) -> None:
    address = f"http://127.0.0.1:{web_server.port}"
    document = web_server.get("/openapi.json").json()
    summaries = [operation["summary"] for methods in document["paths"].values() for operation in methods.values()]
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints = complaints_of(page, address)
    page.goto(address + path)
    page.locator(opened).first.click()
    page.locator(inside).first.wait_for()
    shown = page.inner_text("body")
    page.screenshot(path=tmp_path / "page.png")
    assert complaints == []
    assert [summary for summary in summaries if summary not in shown] == []
