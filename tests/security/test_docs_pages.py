import gzip
import hashlib
import re
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser

import security.docs
from tests.browser import CHROMIUM, PHONE_WIDTH, complaints_of

STATIC = Path(security.docs.__file__).parent / "static"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(toy: Flask, path: str) -> None:
    answer = toy.test_client().get(path)
    policy = answer.headers.getlist("Content-Security-Policy")
    assert len(policy) == 1
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy[0]
    assert "unsafe" not in policy[0]
    assert "http" not in policy[0]
    assert not re.findall(r'(?:src|href)="(?!/docs/assets/|data:,")', answer.text)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js"])
def test_an_asset_is_the_recorded_one_and_can_be_cached(toy: Flask, name: str) -> None:
    answer = toy.test_client().get(f"/docs/assets/{name}")
    assert answer.headers["Cache-Control"] == "public, no-cache"
    assert "Content-Encoding" not in answer.headers
    digest = hashlib.sha256(answer.data).hexdigest()
    assert re.search(rf"\| {re.escape(name)} \|.*\| {digest} \|", (STATIC / "README.md").read_text())


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_page_names_its_assets_by_their_content_so_that_they_are_kept_for_good(toy: Flask, path: str) -> None:
    client = toy.test_client()
    addresses = re.findall(r'(?:src|href)="(/docs/assets/[^"]+)"', client.get(path).text)
    assert addresses
    for address in addresses:
        answer = client.get(address)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        stale = client.get(re.sub("v=.*", "v=0123456789abcdef", address))
        assert (stale.status_code, stale.headers["Cache-Control"]) == (200, "public, no-cache")


def test_a_script_is_compressed_for_whoever_accepts_it(toy: Flask) -> None:
    client, path = toy.test_client(), "/docs/assets/swagger-ui-bundle.js"
    plain, packed = client.get(path), client.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 3
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] != packed.headers["ETag"]
    again = client.get(path, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]})
    assert again.status_code == 304
    assert "Content-Encoding" not in client.get(path, headers={"Accept-Encoding": "gzip;q=0"}).headers


@pytest.mark.parametrize("name", ["../strict_json.py", "..%2fstrict_json.py", "%2e%2e/strict_json.py", "", "no.js"])
def test_nothing_beside_the_assets_is_served(toy: Flask, name: str) -> None:
    assert toy.test_client().get(f"/docs/assets/{name}").status_code == 404


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(
    ("path", "operations", "opened", "inside"),
    [
        ("/docs", ".opblock-tag", ".opblock-post .opblock-summary-control", "text=Request body"),
        ("/redoc", "h2:has-text('Wish by name')", "button:has-text('400')", "text=Response Headers"),
    ],
)
def test_a_browser_shows_the_operations_on_a_phone_at_night_without_a_complaint(
    toy_address: str, browser: Browser, *, path: str, operations: str, opened: str, inside: str
) -> None:
    page = browser.new_page(viewport={"width": PHONE_WIDTH, "height": 667}, color_scheme="dark")
    complaints = complaints_of(page, toy_address)
    page.goto(toy_address + path)
    page.locator(operations).first.wait_for()
    for tag in page.locator(".opblock-tag").all():  # Swagger UI begins with all of them closed
        tag.click()
    page.locator(opened).first.click()
    page.locator(inside).first.wait_for()
    assert page.title() == "Toy"
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(red, green, blue) < 64, "a page at night is dark"
    assert complaints == []
