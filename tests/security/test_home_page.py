"""`GET /`: a page for people, JSON for programs."""

import re

import pytest
from flask import Flask
from playwright.sync_api import Browser

from tests.browser import CHROMIUM, PHONE_WIDTH, complaints_of
from tests.toy_api import MAIL_BOX, toy_app

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "text/html, application/json;q=0.9"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_browser_is_shown_a_page(toy: Flask, method: str, accept: str) -> None:
    answer = toy.test_client().open("/", method=method, headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "Accept" in answer.headers.getlist("Vary")
    assert answer.headers["Cache-Control"] == "no-store"
    (policy,) = answer.headers.getlist("Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src data:;")
    assert "unsafe" not in policy
    assert bool(answer.data) == (method == "GET")


@pytest.mark.parametrize(
    "accept", ["application/json", "*/*", "image/png", "", "text/html;q=0.5, application/json", None]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_program_gets_the_links_as_json(toy: Flask, method: str, accept: str | None) -> None:
    answer = toy.test_client().open("/", method=method, headers={} if accept is None else {"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert "Accept" in answer.headers.getlist("Vary")
    if method == "GET":
        assert answer.get_json() == {
            "name": "Toy",
            "version": "1.0.0",
            "links": {
                "documentation": "/docs",
                "reference": "/redoc",
                "openapi": "/openapi.json",
                "health": "/health",
                "mail_box": MAIL_BOX,
            },
        }


def test_the_page_has_the_links_of_the_json_and_nothing_inline(toy: Flask) -> None:
    client = toy.test_client()
    page = client.get("/", headers={"Accept": BROWSER}).text
    for address in client.get("/").get_json()["links"].values():
        assert f'<a href="{address}">' in page
    assert not re.findall(r"<script|<style| style=| on[a-z]+=", page)
    assert not re.findall(r'(?:src|href)="(?!/|data:,"|http://127\.0\.0\.1:8025")', page)
    assert "curl https://api.example.com/api/auth/register" in page
    for address in re.findall(r'href="(/assets/[^"]+)"', page):
        assert client.get(address).headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_predictions_are_spoken_of_where_they_are_turned_on(toy: Flask) -> None:
    assert "predict" not in toy.test_client().get("/", headers={"Accept": BROWSER}).text
    predicting = toy_app()
    predicting.add_url_rule("/api/gateway/predict", view_func=lambda: "")
    page = predicting.test_client().get("/", headers={"Accept": BROWSER}).text
    assert "usage limits and predictions" in page
    assert "curl https://api.example.com/api/gateway/predict " in page


def test_without_a_mail_box_none_is_named() -> None:
    client = toy_app(mail_box_url=None).test_client()
    assert "mail_box" not in client.get("/").get_json()["links"]
    assert "mail box" not in client.get("/", headers={"Accept": BROWSER}).text.lower()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_on_a_phone_has_nothing_to_complain_of(toy_address: str, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": PHONE_WIDTH, "height": 667})
    complaints = complaints_of(page, toy_address)
    page.goto(toy_address)
    assert page.get_by_role("heading", level=1).inner_text() == "Toy"
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
    assert complaints == []
