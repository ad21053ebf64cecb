"""The pages that Stripe leads back to where no app does."""

import re

import pytest
from playwright.sync_api import Browser

from payments.stripe.return_pages import PAGES
from tests.browser import CHROMIUM, PHONE_WIDTH, complaints_of
from tests.payments.stripe_app import OWN_ADDRESS, MakeStripe, RunningStripe

PATHS = [f"/billing/{page.name}" for page in PAGES]


@pytest.fixture
def stripe(make_stripe: MakeStripe) -> RunningStripe:
    return make_stripe(own_pages=True)


def own_path(address: str) -> str:
    assert address.startswith(OWN_ADDRESS + "/")
    return address.removeprefix(OWN_ADDRESS)


@pytest.mark.parametrize(("action", "title"), [("good", "Thank you"), ("cancel", "Payment cancelled")])
def test_whoever_leaves_the_checkout_arrives_at_a_page(stripe: RunningStripe, action: str, title: str) -> None:
    page = stripe.checkout(stripe.user()).get_json()["checkout_url"]
    arrived = stripe.client.get(own_path(stripe.press(page, action).headers["Location"]))

    assert arrived.status_code == 200
    assert f"<h1>{title}</h1>" in arrived.text


def test_whoever_leaves_the_portal_arrives_at_a_page(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.buy(alice)
    assert stripe.post("/stripe/create-portal-session", {}, alice).status_code == 200

    assert stripe.client.get(own_path(stripe.latest("billing_portal.session")["return_url"])).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_page_allows_nothing_inline_and_nothing_from_elsewhere_and_is_not_kept(
    stripe: RunningStripe, path: str
) -> None:
    answer = stripe.client.get(path)

    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert answer.headers["Cache-Control"] == "no-store"
    [policy] = answer.headers.getlist("Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert not re.findall(r'(?:src|href)="(?!/billing/|data:,")', answer.text)
    assert not re.findall(r"<script|<style| style=| on[a-z]+=", answer.text)
    assert stripe.client.post(path).status_code == 405


def test_its_style_can_be_kept(stripe: RunningStripe) -> None:
    with stripe.client.get("/billing/assets/page.css") as answer:
        assert answer.headers["Cache-Control"] == "public, no-cache"


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_on_a_phone_a_browser_has_nothing_to_complain_of(stripe: RunningStripe, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": PHONE_WIDTH, "height": 667})
    complaints = complaints_of(page, stripe.url)
    for path in PATHS:
        page.goto(stripe.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
    assert complaints == []
