"""/portal/statements"""

from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from uuid import UUID

import pytest
import requests

from database.base import uuid7
from payments.stripe_handler import StripeAddress
from sandbox.stripe_server.server import StripeServer
from tests.admin.dashboard import BASE, PAGE, Dashboard, text_of


def charge(dashboard: Dashboard, user_id: UUID, *, micros: int = 1_000_000) -> UUID:
    request_id, now = uuid7(), dashboard.auth.clock()
    dashboard.query(
        "INSERT INTO charges (request_id, user_id, feature, price_micros, cost_micros, window_date, created_at)"
        " VALUES (:id, :user_id, 'predict', :micros, 0, :day, :at)",
        id=request_id,
        user_id=user_id,
        micros=micros,
        day=now.date(),
        at=now - timedelta(seconds=1),
    )
    return request_id


def test_the_month_that_runs_is_there_with_its_lines(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    request_id = charge(dashboard, customer.user_id)
    listed = customer.get("/portal/statements")
    month = f"{dashboard.auth.clock():%Y-%m}"
    assert f"{month} open 1 1.00 USD" in text_of(listed)
    address = listed.text.partition('href="/portal/statements/')[2].partition('"')[0]
    page = text_of(customer.get(f"/portal/statements/{address}"))
    assert f"Statement of {month}" in page and str(request_id) in page
    csv = customer.get(f"/portal/statements/{address}/lines.csv")
    assert (csv.mimetype, str(request_id) in csv.text) == ("text/csv", True)


def test_a_statement_of_somebody_else_is_not_there(dashboard: Dashboard) -> None:
    owner = dashboard.customer()
    charge(dashboard, owner.user_id)
    address = owner.get("/portal/statements").text.partition('href="/portal/statements/')[2].partition('"')[0]
    other = dashboard.customer()
    assert other.get(f"/portal/statements/{address}").status_code == 404
    assert other.get(f"/portal/statements/{address}/lines.csv").status_code == 404


@pytest.fixture
def stripe(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeServer]:
    """What the application asks, as long as the test runs."""
    assert dashboard.made.payments.stripe is not None
    handler = dashboard.made.payments.stripe.handler
    server = StripeServer(livemode=True)
    server.start()
    monkeypatch.setattr(handler, "address", StripeAddress(server.secret_key, server.url))
    handler.close()
    yield server
    handler.close()
    server.stop()


def statement(dashboard: Dashboard, user_id: UUID, cents: int = 300, state: str = "overdue") -> UUID:
    period, now = uuid7(), dashboard.auth.clock()
    dashboard.query(
        "INSERT INTO billing_periods (id, user_id, period, state, requests, charges_micros, credits_cents, amount_cents,"
        " currency, closed_at, due_at) VALUES (:id, :user_id, '2026-02', :state, 3, :micros, 0, :cents, 'usd', :now, :now)",
        id=period,
        user_id=user_id,
        state=state,
        micros=cents * 10_000,
        cents=cents,
        now=now,
    )
    return period


def test_a_statement_is_paid_on_a_page_of_stripe(dashboard: Dashboard, stripe: StripeServer) -> None:
    customer, other = dashboard.customer(), dashboard.customer()
    path = f"/portal/statements/{statement(dashboard, customer.user_id)}"
    assert "Pay 3.00 USD" in customer.get(path).text
    assert other.post(path).status_code == 404

    sent_on = customer.post(path)
    page = unescape(sent_on.text.partition('content="0; url=')[2].partition('"')[0])
    assert (sent_on.status_code, page.startswith(f"{stripe.url}/checkout/")) == (200, True)
    assert stripe.books.objects[page.rpartition("/")[2]]["amount_total"] == 300
    assert (
        requests.post(page, data={"action": "cancel"}, allow_redirects=False, timeout=5)
        .headers["Location"]
        .endswith(f"{path}?done=cancelled")
    )
    paid = requests.post(page, data={"action": "good"}, allow_redirects=False, timeout=5)
    back = text_of(customer.get(f"{path}?done=paid"))
    assert "marked as paid when Stripe confirms" in back and "Pay 3.00 USD" not in back and "is overdue" not in back
    assert paid.headers["Location"].endswith(f"{path}?done=paid")

    again = customer.post(path)
    assert (again.status_code, "does not have to be paid any more" in text_of(again)) == (409, True)
    assert "State paid" in text_of(again) and "Pay 3.00 USD" not in again.text


def test_what_cannot_be_paid_by_card_says_why(dashboard: Dashboard, stripe: StripeServer) -> None:
    customer = dashboard.customer()
    path = f"/portal/statements/{statement(dashboard, customer.user_id, 49, 'due')}"
    assert "too small to be paid by card" in text_of(customer.get(path))
    assert customer.post(path).status_code == 409


def test_who_comes_from_another_site_goes_on_to_the_page_and_a_stranger_signs_in(dashboard: Dashboard) -> None:
    """Browsers send the cookie with the second request alone, for it comes from a page of ours."""
    path, elsewhere = "/portal/statements?done=paid", {**PAGE, "Sec-Fetch-Site": "cross-site"}
    at_first = dashboard.stranger.get(path, base_url=BASE, headers=elsewhere)
    assert (at_first.status_code, f'content="0; url={path}"' in at_first.text) == (401, True)
    own = dashboard.stranger.get(path, base_url=BASE, headers={**PAGE, "Sec-Fetch-Site": "same-origin"})
    assert (own.status_code, "http-equiv" in own.text, "Password" in own.text) == (401, False, True)
    staff = dashboard.stranger.get("/admin", base_url=BASE, headers=elsewhere)
    assert (staff.status_code, "http-equiv" in staff.text) == (401, False)
