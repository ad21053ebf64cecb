"""Buying in a real browser: the web server in two processes, a worker, and Stripe's pages as customers see them."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page

from examples.private_server.server import PrivateServer
from sandbox.stripe_server.development_prices import add_development_prices
from sandbox.stripe_server.server import StripeServer
from tests.browser import CHROMIUM, complaints_of
from tests.databases import MigratedDatabases
from tests.whole.environment import WEB_ORIGIN, production_environment, stripe_environment
from tests.whole.real_worker import RealWorker
from tests.whole.test_purchase_reaches_limits import limits_of
from tests.whole.web_server import QUESTION, Person, WebServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
DONE, BACK = f"{WEB_ORIGIN}/done", f"{WEB_ORIGIN}/plans"
GROUNDED = {**QUESTION, "options": {"enhanced_grounding": True}}
FREE, PRO = {("free", 5, "5")}, {("pro", 100, "60")}


@dataclass
class Shop:
    """Alice in front of her browser, and everything behind it."""

    page: Page
    server: WebServer
    worker: RealWorker
    stripe: StripeServer
    alice: Person

    def open_checkout(self) -> None:
        wanted = {"tier": "pro", "billing_cycle": "monthly", "success_url": DONE, "cancel_url": BACK}
        reply = self.server.post("/api/payments/stripe/create-checkout-session", wanted, self.alice.access_token)
        assert reply.status == 200, reply.body
        self.page.goto(reply.json()["checkout_url"])

    def open_portal(self) -> None:
        wanted = {"return_url": BACK}
        reply = self.server.post("/api/payments/stripe/create-portal-session", wanted, self.alice.access_token)
        assert reply.status == 200, reply.body
        self.page.goto(reply.json()["portal_url"])

    def press(self, label: str) -> None:
        self.page.get_by_role("button", name=label).click()

    def buy(self) -> None:
        self.open_checkout()
        self.press("Pay with a good card")
        self.page.wait_for_url(DONE)
        self.hear_from_stripe()

    def hear_from_stripe(self) -> None:
        """Stripe sends its events, and the worker applies them."""
        assert set(self.stripe.outbox.deliver_pending()) <= {200}
        self.worker.wait_until_idle()

    def limits(self) -> set[tuple[str, int, str | None]]:
        return limits_of(self.server, self.alice)

    def grounded(self) -> list[int]:
        """The statuses of a prediction that only a paid plan may ask for, of as many processes as answer."""
        ask = self.server.post
        return [ask("/api/gateway/predict", GROUNDED, self.alice.access_token).status for _ in range(4)]

    def renews(self) -> bool:
        [mine] = self.server.get("/api/payments/subscription", self.alice.access_token).json()["subscriptions"]
        return mine["renews_at"] is not None


@dataclass(frozen=True)
class Behind:
    """What stands behind the browser. It is started once: nothing here breaks it, and each test has an Alice of its own."""

    server: WebServer
    worker: RealWorker
    stripe: StripeServer


@pytest.fixture(scope="module")
def behind(
    migrated_databases: MigratedDatabases,
    valkey_server: str,
    shared_private: PrivateServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Behind]:
    folder, stripe = tmp_path_factory.mktemp("shop"), StripeServer()
    add_development_prices(stripe)
    with migrated_databases.one() as database_url, ExitStack() as running:
        running.callback(stripe.stop)
        stripe.start()
        environ = {
            **production_environment(database_url, shared_private.url, valkey_server),
            **stripe_environment(stripe),
            "FLASK_ENV": "development",
            "BCRYPT_COST": "4",
        }
        worker, server = RealWorker(environ, folder), WebServer(environ, folder)
        running.callback(worker.stop)
        worker.start()
        running.callback(server.stop)
        server.start()
        stripe.outbox.url = f"http://127.0.0.1:{server.port}/api/payments/stripe/webhook"
        yield Behind(server, worker, stripe)


@pytest.fixture
def shop(behind: Behind, browser: Browser) -> Iterator[Shop]:
    page = browser.new_page()
    page.route(f"{WEB_ORIGIN}/**", lambda route: route.fulfill(body="the app"))
    complaints = complaints_of(page, behind.stripe.url, WEB_ORIGIN)
    yield Shop(page, behind.server, behind.worker, behind.stripe, behind.server.register("alice"))
    page.close()
    assert complaints == []


def test_whoever_pays_has_the_plan_with_the_very_next_request_until_the_refund(shop: Shop) -> None:
    assert shop.limits() == FREE
    assert shop.grounded() == [403] * 4

    shop.buy()
    assert shop.grounded() == [200] * 4
    assert shop.limits() == PRO

    shop.stripe.refunds.refund(next(shop.stripe.books.all("charge")))
    shop.hear_from_stripe()
    assert shop.grounded() == [403] * 4
    assert shop.limits() == FREE


def test_a_declined_card_changes_nothing_and_another_one_may_be_tried(shop: Shop) -> None:
    shop.open_checkout()
    shop.press("Pay with a card that is declined")
    assert "declined" in shop.page.get_by_role("alert").inner_text()
    shop.hear_from_stripe()
    assert shop.limits() == FREE

    shop.press("Pay with a good card")
    shop.page.wait_for_url(DONE)
    shop.hear_from_stripe()
    assert shop.limits() == PRO


def test_going_back_without_buying_changes_nothing(shop: Shop) -> None:
    before = list(shop.stripe.books.all("subscription"))
    shop.open_checkout()
    shop.press("Back, without buying")
    shop.page.wait_for_url(BACK)
    shop.hear_from_stripe()
    assert shop.limits() == FREE
    assert list(shop.stripe.books.all("subscription")) == before


def test_what_is_cancelled_in_the_portal_stays_until_its_end_and_can_be_kept(shop: Shop) -> None:
    shop.buy()
    shop.open_portal()
    shop.press("Cancel at the end of the period")
    shop.page.get_by_text("Ends on").wait_for()
    shop.hear_from_stripe()
    assert not shop.renews()
    assert shop.limits() == PRO

    shop.press("Keep the subscription")
    shop.page.get_by_text("Renews on").wait_for()
    shop.hear_from_stripe()
    assert shop.renews()
    shop.page.get_by_role("link", name="Back to the app").click()
    shop.page.wait_for_url(BACK)
