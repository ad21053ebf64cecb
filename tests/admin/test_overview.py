"""The figures of the overview, and the page that shows them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from admin.overview.figures import Figures, Overview
from admin.overview.minutes import LastHour
from database.base import uuid7
from metering.windows import day_of
from security.health.check import HealthCheck, health_check
from tests.admin.dashboard import Dashboard, text_of
from tests.auth.accounts_app import MovableClock

CALL = """
    INSERT INTO request_logs (id, user_id, request_data_hash, success, outcome, response_time_ms, error_code, created_at,
        feature, tier, status, upstream_ms, window_date)
    VALUES (:id, :user_id, repeat('a', 64), :code IS NULL, :outcome, :ms, CAST(:code AS text), :at, 'predict', 'free', 200, 1,
        CAST(:at AS date))
"""
NOON = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)


class Service:
    def __init__(self, dashboard: Dashboard, health: HealthCheck) -> None:
        self.dashboard, self.clock = dashboard, MovableClock(NOON)
        self.alice = dashboard.user()
        self.overview = Overview(LastHour(self.clock), health)

    def call(
        self, *, minutes_ago: float = 1, ms: int = 100, outcome: str = "delivered", code: str | None = None
    ) -> None:
        at = self.clock.now - timedelta(minutes=minutes_ago)
        values = {"id": uuid7(), "user_id": self.alice, "at": at, "ms": ms, "outcome": outcome, "code": code}
        self.dashboard.query(CALL, **values)

    def read(self) -> Figures:
        with self.dashboard.app.app_context():
            return self.overview.read()

    def cards(self) -> dict[str, tuple[str, str, str]]:
        return {card.id: (card.value, card.note, card.state) for card in self.read().cards}


@pytest.fixture
def service(dashboard: Dashboard, kept_database_url: str) -> Iterator[Service]:
    yield Service(dashboard, health_check(kept_database_url, None, {}))


def test_calls_are_counted_by_their_minute(service: Service) -> None:
    for ms in (10, 20, 30, 900):
        service.call(minutes_ago=2, ms=ms)
    service.call(minutes_ago=2, outcome="failed", code="upstream_timeout")
    service.call(minutes_ago=2, outcome="refused", code="rate_limit_exceeded")
    service.call(minutes_ago=59)
    service.call(minutes_ago=62)
    figures = service.read()
    series = figures.series
    assert len(series.at) == 60
    assert (series.at[0], series.at[-1]) == (int(NOON.timestamp()) - 3630, int(NOON.timestamp()) - 90)
    assert (series.calls[-2], series.failed[-2], series.refused[-2]) == (5, 1, 1)
    assert (series.p50_ms[-2], series.p95_ms[-2], series.p50_ms[-1]) == (20, 900, None)
    assert sum(series.calls) == 6
    assert [(each.code, each.count) for each in figures.failures] == [("upstream_timeout", 1)]
    assert [(each.code, each.count) for each in figures.refusals] == [("rate_limit_exceeded", 1)]
    cards = {card.id: card for card in figures.cards}
    assert (cards["calls"].value, cards["failed"].value, cards["failed"].state) == ("6", "16.7%", "bad")


def test_minutes_that_are_over_are_remembered_and_late_calls_still_count(service: Service) -> None:
    service.call(minutes_ago=1)
    assert service.cards()["calls"][0] == "1"
    service.call(minutes_ago=2)
    assert service.cards()["calls"][0] == "1"  # read a moment ago
    service.clock.advance(seconds=5)
    assert service.cards()["calls"][0] == "2"
    service.dashboard.query("DELETE FROM request_logs")
    service.clock.advance(minutes=20)
    service.call()
    assert service.cards()["calls"][0] == "3"
    service.clock.advance(minutes=61)
    assert service.cards()["calls"][0] == "0"


def test_a_page_that_was_not_asked_for_an_hour_reads_all_of_it(service: Service) -> None:
    service.read()
    service.clock.advance(minutes=70)
    service.call(minutes_ago=50)
    assert service.cards()["calls"][0] == "1"


def test_users_near_their_daily_limit(service: Service) -> None:
    count = "INSERT INTO usage_counters VALUES (:id, 'predict', 'call', :day, :used, :allowed)"
    today, yesterday = day_of(NOON).name, day_of(NOON - timedelta(days=1)).name
    for day, used, allowed in ((today, 1, 5), (today, 4, 5), (today, 5, 5), (today, 900, None), (yesterday, 5, 5)):
        service.dashboard.query(count, id=uuid7(), day=day, used=used, allowed=allowed)
    assert service.cards()["pressure"] == ("67%", "2 of 3; 1 at the limit", "")


def test_what_waits_and_what_was_given_up(service: Service) -> None:
    assert {name: service.cards()[name][0] for name in ("queue", "dead", "webhooks", "sign_ins")} == {
        "queue": "0", "dead": "0", "webhooks": "0", "sign_ins": "0",
    }  # fmt: skip
    job = "INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('default', 'a_job', :status)"
    for status in ("todo", "todo", "failed"):
        service.dashboard.query(job.replace(":status", f"'{status}'"))
    event = (
        "INSERT INTO billing_events (id, provider, external_id, kind, body, received_at, state, next_attempt_at)"
        " VALUES (:id, 'stripe', :name, 'x', '', :now, 'received', :at)"
    )
    for name, minutes in (("a", -1), ("b", 5)):
        at = NOON + timedelta(minutes=minutes)
        service.dashboard.query(event, id=uuid7(), name=name, now=NOON, at=at)
    failed = "INSERT INTO security_events (id, occurred_at, event, detail) VALUES (:id, :at, 'sign_in_failed', '{}')"
    for hours in (0.5, 2):
        service.dashboard.query(failed, id=uuid7(), at=NOON - timedelta(hours=hours))
    cards = service.cards()
    assert (cards["dead"], cards["webhooks"]) == (
        ("1", "After all retries", "bad"),
        ("1", "1 to be retried later", "wait"),
    )
    assert cards["sign_ins"][0] == "1"


def test_the_page_shows_the_figures_and_gives_them_to_its_script(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    page = admin.get("/admin")
    assert "Calls, last hour" in text_of(page)
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    polled = admin.get("/admin/overview/figures")
    assert (polled.mimetype, len(polled.get_json()["series"]["at"])) == ("application/json", 60)


def test_a_figure_leads_to_the_pages_behind_it_where_they_are(dashboard: Dashboard) -> None:
    page = dashboard.staff().get("/admin").text
    navigation = set(re.findall(r'<li><a href="(/admin/[a-z]+)"', page))
    assert set(re.findall(r'<span><a href="(/admin/[a-z]+)"', page)) <= navigation
