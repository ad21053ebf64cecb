"""Paying a statement in a real browser: the portal, Stripe's page, and back."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from examples.private_server.server import PrivateServer
from sandbox.stripe_server.server import StripeServer
from tests.browser import CHROMIUM, complaints_of
from tests.conftest import administer
from tests.databases import MigratedDatabases
from tests.whole.environment import production_environment, stripe_environment
from tests.whole.real_worker import RealWorker
from tests.whole.test_dashboard_in_a_browser import look_over
from tests.whole.web_server import Person, WebServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

EXPECTED = ("401 (UNAUTHORIZED)", "409 (CONFLICT)", "410 (Gone)")
"""Browsers send no cookie of the portal when Stripe's page leads back to it, and it then asks for itself once more; and what a
second payment is told.
"""


@dataclass(frozen=True)
class Behind:
    """What stands behind the browser. It is started once: each test has a customer of its own."""

    server: WebServer
    worker: RealWorker
    stripe: StripeServer
    database_url: str

    @property
    def address(self) -> str:
        """By another name than Stripe's, which is another site to the browser as well."""
        return f"http://localhost:{self.server.port}"

    def owing(self, state: str = "due") -> Person:
        """Somebody with a statement of February."""
        customer = self.server.register("customer")
        administer(
            self.database_url,
            "INSERT INTO billing_periods (id, user_id, period, state, requests, charges_micros, credits_cents, amount_cents,"
            f" currency, closed_at, due_at) VALUES ('{uuid4()}', '{customer.user_id}', '2026-02', '{state}', 3, 3000000, 0, 300,"
            " 'usd', now(), now())",
        )
        return customer

    def hear_from_stripe(self) -> None:
        assert set(self.stripe.outbox.deliver_pending()) <= {200}
        self.worker.wait_until_idle()

    def payments(self) -> list[str]:
        return [str(each["status"]) for each in self.stripe.books.all("payment_intent")]


@pytest.fixture(scope="module")
def behind(
    migrated_databases: MigratedDatabases,
    valkey_server: str,
    shared_private: PrivateServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Behind]:
    """On http://localhost, as in development, where Stripe may be a stand-in."""
    folder, stripe = tmp_path_factory.mktemp("paying"), StripeServer()
    with migrated_databases.one() as database_url, ExitStack() as running:
        running.callback(stripe.stop)
        stripe.start()
        environ = {
            **production_environment(database_url, shared_private.url, valkey_server),
            **stripe_environment(stripe),
            "FLASK_ENV": "development",
            "BCRYPT_COST": "4",
        }
        del environ["PUBLIC_BASE_URL"]
        worker, server = RealWorker(environ, folder), WebServer(environ, folder, processes=1)
        running.callback(worker.stop)
        worker.start()
        running.callback(server.stop)
        server.start()
        stripe.outbox.url = f"http://127.0.0.1:{server.port}/api/payments/stripe/webhook"
        yield Behind(server, worker, stripe, database_url)


@pytest.fixture
def page(behind: Behind, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=behind.address)  # a test may open another tab in it
    page = context.new_page()
    complaints = complaints_of(page, behind.address, behind.stripe.url)
    yield page
    context.close()
    assert [each for each in complaints if not each.endswith(EXPECTED)] == []


def open_statement(page: Page, customer: Person) -> None:
    page.goto("/portal/sign-in")
    page.get_by_label("E-mail address").fill(customer.email)
    page.get_by_label("Password").fill(customer.password)
    page.get_by_role("button", name="Continue").click()
    open_own_statement(page)


def open_own_statement(page: Page) -> None:
    page.get_by_role("navigation", name="Portal").get_by_role("link", name="Statements").click()
    page.get_by_role("link", name="2026-02").click()
    expect(page.get_by_role("heading", name="Statement of 2026-02")).to_be_visible()


def go_to_stripe(page: Page, behind: Behind) -> None:
    page.get_by_role("button", name="Pay 3.00 USD").click()
    page.wait_for_url(f"{behind.stripe.url}/checkout/**")
    expect(page.get_by_role("heading", name="Pay: Statement of 2026-02")).to_be_visible()


def press(page: Page, label: str) -> None:
    page.get_by_role("button", name=label).click()


def test_an_overdue_statement_is_paid_and_says_so(page: Page, behind: Behind) -> None:
    customer = behind.owing("overdue")
    before = len(behind.payments())
    open_statement(page, customer)
    expect(page.get_by_role("alert")).to_contain_text("This statement is overdue")
    look_over(page)
    go_to_stripe(page, behind)
    press(page, "Back, without buying")
    expect(page.get_by_role("status")).to_contain_text("You have not been charged")
    go_to_stripe(page, behind)
    press(page, "Pay with a card that is declined")
    expect(page.get_by_role("alert")).to_contain_text("declined")
    press(page, "Pay with a good card")
    expect(page.get_by_role("status")).to_contain_text("Thank you")
    expect(page.get_by_role("button", name="Pay 3.00 USD")).to_have_count(0)  # nobody is asked twice
    look_over(page)
    behind.hear_from_stripe()
    page.reload()
    expect(page.locator("dl")).to_contain_text("paid")
    expect(page.get_by_role("button", name="Pay 3.00 USD")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)
    look_over(page)
    assert behind.payments()[: len(behind.payments()) - before] == ["succeeded"]


def test_two_tabs_pay_once(page: Page, behind: Behind) -> None:
    customer = behind.owing()
    before = len(behind.payments())
    open_statement(page, customer)
    late = page.context.new_page()
    late.goto(page.url)
    go_to_stripe(page, behind)
    go_to_stripe(late, behind)
    assert late.url == page.url
    press(page, "Pay with a good card")
    expect(page.get_by_role("status")).to_contain_text("Thank you")
    press(late, "Pay with a good card")
    expect(late.get_by_role("heading", name="This page has done its work")).to_be_visible()
    open_own_statement(page)
    press(page, "Pay 3.00 USD")  # before Stripe's event has come
    expect(page.get_by_role("alert")).to_contain_text("does not have to be paid any more")
    behind.hear_from_stripe()
    late.goto(f"{behind.address}/portal/statements")
    expect(late.get_by_role("table")).to_contain_text("paid")
    assert behind.payments()[: len(behind.payments()) - before] == ["succeeded"]
