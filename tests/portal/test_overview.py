"""GET /portal"""

from datetime import UTC, datetime, timedelta

import pytest

from metering.usage.read import Counted
from portal.overview.routes import CHART_HEIGHT, bars_of
from tests.admin.dashboard import Dashboard, text_of
from tests.portal.calls import insert_call


def test_it_shows_the_month_by_product_and_key(dashboard: Dashboard) -> None:
    customer, now = dashboard.customer(), dashboard.auth.clock()
    insert_call(dashboard, customer.user_id, now, micros=1_000_000)
    insert_call(dashboard, customer.user_id, now, error="timeout")
    page = text_of(customer.get("/portal"))
    assert "Requests 2 1 failed" in page
    assert "Charged 1.00 USD" in page
    assert f"{now:%B %Y}" in page


def test_another_month_can_be_looked_at_and_none_that_is_to_come(dashboard: Dashboard) -> None:
    customer, now = dashboard.customer(), dashboard.auth.clock()
    before = now.replace(day=1) - timedelta(days=1)
    insert_call(dashboard, customer.user_id, before)
    assert "Nothing was requested in" in text_of(customer.get("/portal"))
    page = customer.get(f"/portal?month={before:%Y-%m}")
    assert "Requests 1 0 failed" in text_of(page)
    assert 'rel="next"' in page.text and 'rel="next"' not in customer.get("/portal").text
    assert customer.get("/portal?month=2026-13").status_code == 422


def test_nobody_sees_the_requests_of_somebody_else(dashboard: Dashboard) -> None:
    insert_call(dashboard, dashboard.customer().user_id, dashboard.auth.clock())
    assert "Requests 0 0 failed" in text_of(dashboard.customer().get("/portal"))


def test_the_busiest_day_is_the_highest_bar(dashboard: Dashboard) -> None:
    first = datetime(2026, 2, 1, tzinfo=UTC).date()
    bars = bars_of(first, [Counted(first, 4, 3, 0, 0), Counted(first.replace(day=28), 2, 2, 0, 0)])
    assert len(bars) == 28
    assert (bars[0].ok, bars[0].failed) == (CHART_HEIGHT * 3 / 4, CHART_HEIGHT / 4)
    assert (bars[27].ok, bars[1].ok) == (CHART_HEIGHT / 2, 0)
    assert bars[0].words == "1 February: 4 requests, 1 failed"


@pytest.mark.parametrize("dashboard_environment", [{"BILLING_CURRENCY": "eur"}])
def test_money_is_in_the_currency_of_the_prices_on_every_page(dashboard: Dashboard) -> None:
    customer, now = dashboard.customer(), dashboard.auth.clock()
    insert_call(dashboard, customer.user_id, now, micros=1_230_000)
    assert customer.post("/portal/budget", {"amount": "20"}).status_code == 303
    pages = {path: text_of(customer.get(f"/portal{path}")) for path in ("", "/requests", "/budget", "/solve")}
    assert "Charged 1.23 EUR" in pages[""] and "Budget 20.00 EUR" in pages[""]
    assert "1.23 EUR" in pages["/requests"]
    assert "In EUR, such as 20 or 12.50" in pages["/budget"]
    assert "A solution costs 1.00 EUR" in pages["/solve"]
    assert [path for path, shown in pages.items() if "USD" in shown or "dollar" in shown] == []
