"""`/admin/ledger`: counters, reservations and charges."""

from datetime import timedelta
from uuid import UUID

import pytest

from auth.principal import Role
from database.base import uuid7
from tests.admin.dashboard import Dashboard, text_of


def count(dashboard: Dashboard, user_id: UUID, window: str, used: int, feature: str = "predict") -> None:
    dashboard.query(
        'INSERT INTO usage_counters (user_id, feature, unit, "window", used, allowed)'
        " VALUES (:user, :feature, 'call', :window, :used, :allowed)",
        user=user_id,
        feature=feature,
        window=window,
        used=used,
        allowed=None if used > 100 else 100,
    )


def charge(dashboard: Dashboard, user_id: UUID, price: int) -> UUID:
    request_id = uuid7()
    dashboard.query(
        "INSERT INTO charges (request_id, user_id, feature, units, price_micros, cost_micros, created_at)"
        " VALUES (:id, :user, 'chat', '{\"tokens\": 7}', :price, 100, :now)",
        id=request_id,
        user=user_id,
        price=price,
        now=dashboard.auth.clock(),
    )
    return request_id


def test_admins_see_who_used_most_today_and_the_sums(dashboard: Dashboard) -> None:
    today = f"{dashboard.auth.clock():%Y-%m-%d}"
    alice, bob, admin = dashboard.user(), dashboard.user("bob@example.com"), dashboard.staff()
    count(dashboard, alice, today, 7)
    count(dashboard, bob, today, 1234)
    count(dashboard, bob, "2001-01-01", 55)
    words = text_of(admin.get("/admin/ledger"))
    assert f"All accounts, {today}" in words
    assert "predict call 2 1,241" in words
    assert words.index("bob@example.com") < words.index("alice@example.com")
    assert "1,234 unlimited" in words
    assert "2001-01-01" not in words
    older = text_of(admin.get("/admin/ledger?window=2001-01-01"))
    assert ("bob@example.com" in older, "alice@example.com" in older) == (True, False)
    assert "Nothing was counted" in text_of(admin.get("/admin/ledger?feature=chat"))


def test_support_sees_one_account_at_a_time(dashboard: Dashboard) -> None:
    alice, bob, support = dashboard.user(), dashboard.user("bob@example.com"), dashboard.staff(Role.SUPPORT)
    count(dashboard, alice, "2001-01-01", 7)
    count(dashboard, bob, "2001-01-01", 8)
    nobody = text_of(support.get("/admin/ledger?window=2001-01-01"))
    assert "Support sees one at a time" in nobody
    assert "2001-01-01" not in nobody.partition("Support sees")[2]
    words = text_of(support.get("/admin/ledger?account=alice@example.com"))
    assert ("alice@example.com" in words, "bob@example.com" in words, "2001-01-01 7 100" in words) == (
        True,
        False,
        True,
    )


def test_only_reservations_that_still_count_are_shown(dashboard: Dashboard) -> None:
    alice, admin, now = dashboard.user(), dashboard.staff(), dashboard.auth.clock()
    for amount, ends in ((2000, now + timedelta(hours=1)), (3333, now - timedelta(hours=1))):
        dashboard.query(
            "INSERT INTO usage_reservations VALUES (:id, 'chat', 'token', '2026-11', :user, :amount, :ends, :now)",
            id=uuid7(),
            user=alice,
            amount=amount,
            ends=ends,
            now=now,
        )
    words = text_of(admin.get("/admin/ledger"))
    assert ("2,000" in words, "3,333" in words) == (True, False)


def test_charges_are_listed_page_by_page_with_the_sum_of_the_month(dashboard: Dashboard) -> None:
    alice, bob, admin = dashboard.user(), dashboard.user("bob@example.com"), dashboard.staff()
    # Ids of one millisecond are in no order.
    first, second = sorted((charge(dashboard, alice, 12_500), charge(dashboard, alice, 7_500)))
    other = charge(dashboard, bob, 1)
    page = admin.get("/admin/ledger?account=alice@example.com&limit=1")
    assert "2 charges for chat, 0.02 USD (cost to us 0.0002 USD)" in text_of(page)
    assert [str(each) in page.text for each in (second, first, other)] == [True, False, False]
    assert f"cursor={second}" in page.text
    further = admin.get(f"/admin/ledger?account=alice@example.com&limit=1&cursor={second}")
    assert [f"requests/{each}" in further.text for each in (second, first, other)] == [False, True, False]


def test_a_window_that_is_none_is_said(dashboard: Dashboard) -> None:
    page = dashboard.staff().get("/admin/ledger?window=today")
    assert (page.status_code, "Enter a day, a month or an hour: 2026-11-29" in text_of(page)) == (422, True)


@pytest.mark.parametrize("dashboard_environment", [{"BILLING_CURRENCY": "eur"}])
def test_prices_are_in_the_currency_of_the_plans_and_providers_are_paid_in_dollars(dashboard: Dashboard) -> None:
    charge(dashboard, dashboard.user(), 1_230_000)
    words = text_of(dashboard.staff().get("/admin/ledger"))
    assert "1.23 EUR 0.0001 USD" in words
