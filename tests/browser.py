"""Chromium for tests, and hearing what it complains of."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

CHROMIUM = shutil.which("chromium")
PHONE_WIDTH = 375
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One for the tests of a file, because it takes a second to start. Their pages share nothing."""
    from playwright.sync_api import sync_playwright  # most runs of pytest need no browser

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


def complaints_of(page: "Page", *addresses: str) -> list[str]:
    """Everything that the browser says, reports or asks from elsewhere while it shows pages of these addresses."""
    complaints: list[str] = []

    def hear(message: "ConsoleMessage") -> None:
        complaints.append(f"{message.type}: {message.text}")

    def watch(request: "Request") -> None:
        if not request.url.startswith((*addresses, "data:")):
            complaints.append(f"asked for {request.url}")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", watch)
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " violation => console.error('refused by the policy: ' + violation.violatedDirective))"
    )
    return complaints
