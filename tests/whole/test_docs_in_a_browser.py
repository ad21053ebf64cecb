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
        (
            "/docs",
            ("#operations-tag-gateway", "#operations-gateway-createPrediction button"),
            "text=Request body",
        ),
        ("/redoc", ("button:has-text('429')",), "text=Response Headers"),
    ],
)
def test_operations_are_shown_without_a_complaint(
    web_server: WebServer, browser: Browser, tmp_path: Path, *, path: str, opened: tuple[str, ...], inside: str
) -> None:
    """Swagger UI shows the tags, and the operations of one when it is opened; Redoc shows all."""
    address = f"http://127.0.0.1:{web_server.port}"
    document = web_server.get("/openapi.json").json()
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints = complaints_of(page, address)
    page.goto(address + path)
    for each in opened:
        page.locator(each).first.click()
    page.locator(inside).first.wait_for()
    shown = page.inner_text("body")
    page.screenshot(path=tmp_path / "page.png")
    assert complaints == []
    assert [tag["name"] for tag in document["tags"] if tag["name"] not in shown] == []
    expected = [each["summary"] for each in operations if path == "/redoc" or each["tags"] == ["gateway"]]
    assert [summary for summary in expected if summary not in shown] == []
