"""GET /api/admin/analytics/…: what each report says of what happened."""

import csv
import io
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from auth.principal import Role
from database import transaction
from payments.models import Subscription
from payments.subscriptions.entitlement import access_until
from payments.subscriptions.status import SubscriptionStatus
from tests.admin.reporting import USER, Reporting, start_of

ALICE, BOB = UUID(int=0xA), UUID(int=0xB)
REPORTS = ("activity", "subscriptions", "revenue", "usage", "response-times")
JANUARY = {"from": "2026-01-01", "to": "2026-01-31"}
DAY = timedelta(days=1)


def counted(reporting: Reporting, *rows: tuple[str, int, int, int]) -> None:
    """Days of January 2026 as they were counted: day, succeeded, failed, refused."""
    reporting.do(
        "INSERT INTO usage_by_day (day, feature, calls, succeeded, failed, refused, price_micros, cost_micros)"
        " VALUES (:day, 'predict', :calls, :succeeded, :failed, :refused, 5, 3)",
        *(
            {
                "day": f"2026-01-{day}",
                "calls": succeeded + failed,
                "succeeded": succeeded,
                "failed": failed,
                "refused": refused,
            }
            for day, succeeded, failed, refused in rows
        ),
    )


@pytest.mark.parametrize("report", REPORTS)
def test_only_admins_read_reports(reporting: Reporting, report: str) -> None:
    refused = [
        reporting.get(report, token=None),
        *(reporting.get(report, token=reporting.token(role)) for role in (Role.USER, Role.SUPPORT)),
    ]
    assert [answer.status_code for answer in refused] == [401, 403, 403]
    assert refused[2].get_json()["error"] == "insufficient_role"
    with capture_logs() as logs:
        assert reporting.report(report, to="2026-01-31") == []
    assert [line["report"] for line in logs if line["event"] == "report_read"] == [report]


def test_there_is_no_other_report(reporting: Reporting) -> None:
    assert reporting.get("passwords", token=reporting.token()).status_code == 404


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"from": "2026-02-01", "to": "2026-01-31"}, "/from"),
        ({"from": "9999-12-31"}, "/from"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "/from"),
        ({"from": "yesterday"}, "/from"),
        ({"from": "1767225600"}, "/from"),
        ({"to": "2026-02-30"}, "/to"),
        ({"to": "2026-1-1"}, "/to"),
        ({"interval": "year"}, "/interval"),
        ({"cursor": "1"}, "/cursor"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(reporting: Reporting, query: dict[str, str], pointer: str) -> None:
    answer = reporting.get("usage", token=reporting.token(), **query)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar_are_days_too(reporting: Reporting, day: str) -> None:
    for report in REPORTS:
        assert reporting.report(report, to=day, interval="week") == []


def test_a_report_says_what_it_covers(reporting: Reporting) -> None:
    answer = reporting.get("usage", token=reporting.token()).get_json()
    today = datetime.now(UTC).date()
    assert answer == {"from": str(today - 29 * DAY), "to": str(today), "interval": "day", "rows": []}


def test_usage_adds_up_by_day_week_and_month(reporting: Reporting) -> None:
    counted(reporting, ("04", 100, 0, 0), ("05", 80, 20, 0), ("11", 0, 0, 7))  # the 4th is a Sunday
    days = reporting.report("usage", **JANUARY)
    assert [(row["starts_on"], row["calls"], row["succeeded"], row["failed"], row["refused"]) for row in days] == [
        ("2026-01-04", 100, 100, 0, 0),
        ("2026-01-05", 100, 80, 20, 0),
        ("2026-01-11", 0, 0, 0, 7),
    ]
    assert [row["success_rate"] for row in days] == [1.0, 0.8, None]
    weeks = reporting.report("usage", **JANUARY, interval="week")
    assert [(row["starts_on"], row["calls"], row["refused"]) for row in weeks] == [
        ("2025-12-29", 100, 0),
        ("2026-01-05", 100, 7),
    ]
    (month,) = reporting.report("usage", **JANUARY, interval="month")
    assert (month["calls"], month["success_rate"]) == (200, 0.9)
    assert (month["price_micros"], month["cost_micros"]) == (15, 9)
    assert reporting.report("usage", **{"from": "2026-01-05", "to": "2026-01-06"}, interval="month")[0]["calls"] == 100


def test_csv_has_the_same_rows(reporting: Reporting) -> None:
    counted(reporting, ("04", 100, 0, 0), ("05", 0, 20, 0))
    answer = reporting.get("usage", token=reporting.token(), accept="text/csv", **JANUARY)
    assert answer.content_type == "text/csv; charset=utf-8; header=present"
    assert "usage-2026-01-01-2026-01-31-day.csv" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows == [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in reporting.report("usage", **JANUARY)
    ]


def test_percentiles_are_within_five_percent_of_those_of_all_calls(reporting: Reporting) -> None:
    """Those of a month are of all its calls, and not of its days."""
    chance = random.Random(5)
    today = reporting.today()
    days = [today - number * DAY for number in (3, 2, 1)]
    times = {day: [round(chance.lognormvariate(4 + number, 1)) for _ in range(200)] for number, day in enumerate(days)}
    reporting.log(
        *(reporting.call(day, ms=ms) for day, each in times.items() for ms in each),
        *(reporting.call(day, ms=1, outcome="refused") for day in days for _ in range(200)),
    )
    reporting.count()
    by_month: dict[date, list[int]] = {}
    for day, each in times.items():
        by_month.setdefault(day.replace(day=1), []).extend(each)
    for interval, expected in (("day", times), ("month", by_month)):
        rows = reporting.report("response-times", **{"from": days[0], "to": days[-1]}, interval=interval)
        assert [row["starts_on"] for row in rows] == [str(start) for start in expected]
        for row, each in zip(rows, expected.values(), strict=True):
            assert row["calls"] == len(each)
            for percent in (50, 95, 99):
                exact = sorted(each)[-(-percent * len(each) // 100) - 1]
                assert row[f"p{percent}_ms"] == pytest.approx(exact, rel=0.05, abs=0.5)


def test_every_response_time_stands_for_one_within_five_percent(reporting: Reporting) -> None:
    ((worst,),) = reporting.rows(
        "SELECT max(greatest(abs(analytics_milliseconds(analytics_response_bucket(ms)) - ms) - 0.5, 0) / greatest(ms, 1))"
        " FROM (SELECT * FROM generate_series(1, 5000) UNION ALL SELECT generate_series(5000, 2147483000, 999983)) AS times (ms)"
    )
    assert worst < 0.05


def test_active_users_are_those_of_the_day_and_of_the_days_before_it(reporting: Reporting) -> None:
    today = reporting.today()
    day = today - 2 * DAY
    reporting.log(
        *(reporting.call(day, user_id=ALICE) for _ in range(3)),
        reporting.call(day - 6 * DAY, user_id=BOB),
        reporting.call(day - 7 * DAY, user_id=USER),
        reporting.call(day - 30 * DAY, user_id=uuid4()),
    )
    reporting.count()
    (row,) = reporting.report("activity", **{"from": day, "to": day})
    assert [row[name] for name in ("active_users", "weekly_active_users", "monthly_active_users")] == [1, 2, 3]


def test_accounts_count_when_they_are_made_and_when_they_are_confirmed(reporting: Reporting) -> None:
    day = reporting.today() - DAY
    events = [
        (ALICE, "registered", "{}", 0),
        (ALICE, "email_verified", "{}", 1),
        (BOB, "registered", '{"method": "google"}', 23),
        (USER, "registered", "{}", 24),  # today
        (USER, "signed_in", '{"method": "google"}', 2),
    ]
    reporting.do(
        "INSERT INTO security_events (id, occurred_at, event, user_id, detail)"
        " VALUES (gen_random_uuid(), :at, :event, :user, CAST(:detail AS jsonb))",
        *(
            {"user": user, "event": event, "detail": detail, "at": start_of(day) + timedelta(hours=hours)}
            for user, event, detail, hours in events
        ),
    )
    reporting.count()
    asked = {"from": day, "to": day + DAY}
    rows = reporting.report("activity", **asked)
    assert [(row["registered"], row["verified"]) for row in rows] == [(2, 2), (1, 0)]


def subscribe(reporting: Reporting, **values: Any) -> None:
    row = {
        "id": uuid4(),
        "provider": "stripe",
        "environment": "live",
        "tier": "pro",
        "status": "active",
        "period_end": None,
        "cancel_at": None,
        "lapsed_at": None,
        "amount": 1000,
        "currency": "eur",
        "months": 1,
        **values,
    }
    if row["provider"] == "manual":
        row |= {"amount": None, "currency": None, "months": None, "environment": None}
    reporting.do(
        "INSERT INTO subscriptions (id, provider, environment, stripe_subscription_id, apple_transaction_id, tier, status,"
        " period_end, cancel_at, lapsed_at, price_amount, price_currency, price_months, created_at, updated_at)"
        " VALUES (:id, :provider, :environment, CASE :provider WHEN 'stripe' THEN CAST(:id AS text) END,"
        " CASE :provider WHEN 'apple' THEN CAST(:id AS text) END, :tier, :status,"
        " :period_end, :cancel_at, :lapsed_at, :amount, :currency, :months, :created_at, :created_at)",
        row,
    )


def test_subscriptions_add_up_from_day_to_day(reporting: Reporting) -> None:
    today = reporting.today()
    noon = [start_of(today - number * DAY) + timedelta(hours=12) for number in range(6)]
    subscribe(reporting, created_at=noon[5])
    subscribe(reporting, created_at=noon[5], status="expired", lapsed_at=noon[3])
    subscribe(reporting, created_at=noon[3], status="canceled", lapsed_at=noon[2])
    subscribe(reporting, created_at=noon[4], status="incomplete", lapsed_at=noon[4])  # never paid
    subscribe(reporting, created_at=noon[4], period_end=noon[2] - timedelta(hours=1))  # nobody says that it renewed
    subscribe(reporting, created_at=noon[3], provider="manual")
    reporting.count()

    days = reporting.report("subscriptions", **{"from": today - 5 * DAY, "to": today - DAY})
    stripe = [
        [row[name] for name in ("active_at_start", "started", "ended", "active")]
        for row in days
        if row["provider"] == "stripe"
    ]
    assert stripe == [[0, 2, 0, 2], [2, 1, 0, 3], [3, 1, 1, 3], [3, 0, 2, 1], [1, 0, 0, 1]]
    assert [(row["starts_on"], row["active"]) for row in days if row["provider"] == "manual"] == [
        (str(today - number * DAY), 1) for number in (3, 2, 1)
    ]
    revenue = reporting.report("revenue", **{"from": today - 2 * DAY, "to": today})
    assert [(row["paying"], row["paying_ended"], row["churn_rate"], row["mrr"]) for row in revenue] == [
        (1, 2, 0.6667, 1000),
        (1, 0, 0.0, 1000),
        (1, 0, 0.0, 1000),
    ]


def snapshot(reporting: Reporting, day: str, *, tier: str = "pro", currency: str = "eur", **figures: int) -> None:
    names = "active_at_start, started, ended, active, paying_at_start, paying_ended, paying, mrr_ended, mrr"
    values = {name: figures.get(name, 0) for name in names.split(", ")}
    reporting.do(
        f"INSERT INTO subscriptions_by_day (day, provider, environment, tier, currency, {names})"
        f" VALUES (:day, 'stripe', 'live', :tier, :currency, {', '.join(f':{name}' for name in values)})",
        {"day": day, "tier": tier, "currency": currency, **values},
    )


def test_a_month_begins_as_its_first_day_and_ends_as_its_last(reporting: Reporting) -> None:
    """A plan that nobody has any more on the last day counts as none."""
    snapshot(reporting, "2026-01-01", paying_at_start=4, paying_ended=1, paying=3, mrr_ended=1000, mrr=3000)
    snapshot(reporting, "2026-01-02", paying_at_start=3, paying_ended=1, paying=4, mrr_ended=1000, mrr=4000)
    snapshot(reporting, "2026-01-01", tier="team", paying_at_start=1, paying_ended=1, mrr_ended=5000)
    (month,) = reporting.report("revenue", **JANUARY, interval="month")
    assert month == {
        "starts_on": "2026-01-01",
        "provider": "stripe",
        "environment": "live",
        "currency": "eur",
        "paying_at_start": 5,
        "paying_ended": 3,
        "paying": 4,
        "churn_rate": 0.6,
        "mrr_ended": 7000,
        "mrr": 4000,
    }
    tiers = reporting.report("subscriptions", **JANUARY, interval="month")
    assert [row["tier"] for row in tiers] == ["pro", "team"]


def test_revenue_is_by_currency_and_a_year_counts_with_a_twelfth(reporting: Reporting) -> None:
    now = datetime.now(UTC) - DAY
    subscribe(reporting, created_at=now, amount=9_999, months=12)
    subscribe(reporting, created_at=now, amount=1_000, months=3)
    subscribe(reporting, created_at=now, currency="jpy", amount=1_500)
    subscribe(reporting, created_at=now, provider="apple", environment="Sandbox", currency="usd", amount=999)
    subscribe(reporting, created_at=now, status="trialing", amount=None, currency=None, months=None)
    today = reporting.today()
    rows = reporting.report("revenue", **{"from": today, "to": today})
    assert [(row["provider"], row["environment"], row["currency"], row["paying"], row["mrr"]) for row in rows] == [
        ("apple", "test", "usd", 1, 999),
        ("stripe", "live", "eur", 2, 1167),  # 833.25 and 333.33
        ("stripe", "live", "jpy", 1, 1500),
    ]


def test_whether_a_subscription_gives_access_is_judged_as_for_its_user(reporting: Reporting) -> None:
    """The rule of payments/subscriptions/entitlement.py, in SQL."""
    now = datetime.now(UTC)
    moments = (None, now - DAY, now + DAY)
    with reporting.app.app_context(), transaction() as session:
        for status in SubscriptionStatus:
            for period_end in moments:
                for other in moments:
                    for revoked_at in (None, now - DAY):
                        row = Subscription(
                            provider="manual",
                            tier="pro",
                            status=status.value,
                            period_end=period_end,
                            cancel_at=other,
                            grace_end=other,
                            revoked_at=revoked_at,
                            created_at=now - 2 * DAY,
                            updated_at=now - DAY / 2,
                        )
                        row.tier = "pro" if (until := access_until(row)) is not None and until > now else "team"
                        session.add(row)
    with reporting.app.app_context(), transaction() as session:
        judged = session.execute(
            text("SELECT DISTINCT tier, coalesce(ends_at > now(), true) FROM analytics_subscription_spans")
        )
        assert sorted(tuple(row) for row in judged) == [("pro", True), ("team", False)]
