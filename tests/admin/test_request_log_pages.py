"""`/admin/requests`: the request log."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from auth.principal import Role
from database.base import uuid7
from tests.admin.dashboard import Dashboard, text_of

HASH = "c0ffee" + "0" * 58


def log_call(dashboard: Dashboard, user_id: UUID, at: datetime, error_code: str | None = None, **more: str) -> UUID:
    call_id = uuid7()
    dashboard.query(
        "INSERT INTO request_logs (id, user_id, request_data_hash, success, outcome, response_time_ms, error_code, created_at,"
        " feature, tier, status, upstream_ms, window_date) VALUES (:id, :user, :hash, :success, :outcome, 120, :error, :at,"
        " :feature, 'free', :status, 100, :at)",
        id=call_id,
        user=user_id,
        hash=HASH,
        success=error_code is None,
        outcome="delivered" if error_code is None else "failed",
        error=error_code,
        at=at,
        status=200 if error_code is None else 504,
        feature=more.get("feature", "predict"),
    )
    return call_id


def shown(page_text: str, *calls: UUID) -> list[bool]:
    return [f"/admin/requests/{each}" in page_text for each in calls]


def test_support_sees_one_account_at_a_time(dashboard: Dashboard) -> None:
    now = dashboard.auth.clock()
    alice, bob, support = dashboard.user(), dashboard.user("bob@example.com"), dashboard.staff(Role.SUPPORT)
    calls = log_call(dashboard, alice, now), log_call(dashboard, bob, now)
    everybody = support.get("/admin/requests?account=&outcome=")
    assert (everybody.status_code, shown(everybody.text, *calls)) == (200, [False, False])
    assert "Support sees one at a time" in text_of(everybody)
    for named in ("alice@example.com", str(alice)):
        page = support.get("/admin/requests", query_string={"account": named})
        assert shown(page.text, *calls) == [True, False]
    assert "No account uses this" in text_of(support.get("/admin/requests?account=carol@example.com"))


def test_admins_see_all_page_by_page_the_newest_first(dashboard: Dashboard) -> None:
    now, alice, admin = dashboard.auth.clock(), dashboard.user(), dashboard.staff()
    # Of the same moment, so the ids decide.
    oldest, middle = sorted(log_call(dashboard, alice, now - timedelta(days=30)) for _ in range(2))
    newest = log_call(dashboard, alice, now)
    first = admin.get("/admin/requests?limit=2")
    assert shown(first.text, newest, middle, oldest) == [True, True, False]
    assert f"cursor={middle}" in first.text
    second = admin.get(f"/admin/requests?limit=2&cursor={middle}")
    assert shown(second.text, newest, middle, oldest) == [False, False, True]
    assert "No call matches" in text_of(admin.get(f"/admin/requests?cursor={uuid4()}"))


def test_calls_are_found_by_what_became_of_them_and_when(dashboard: Dashboard) -> None:
    now, alice, admin = dashboard.auth.clock(), dashboard.user(), dashboard.staff()
    good = log_call(dashboard, alice, now - timedelta(hours=1))
    bad = log_call(dashboard, alice, now - timedelta(hours=2), "upstream_timeout")
    chat = log_call(dashboard, alice, now - timedelta(hours=3), feature="chat")
    minute = "%Y-%m-%dT%H:%M"
    since, until = f"{now - timedelta(minutes=150):{minute}}", f"{now - timedelta(minutes=90):{minute}}"
    for query, expected in (
        ("outcome=failed", [False, True, False]),
        ("error_code=upstream_timeout", [False, True, False]),
        ("feature=chat", [False, False, True]),
        ("feature=predict&outcome=delivered", [True, False, False]),
        (f"since={since}&until={until}", [False, True, False]),
        (f"until={until}&outcome=delivered", [False, False, True]),
    ):
        assert shown(admin.get(f"/admin/requests?{query}").text, good, bad, chat) == expected, query


def test_a_search_reads_a_week_of_all_accounts_and_leads_on_to_earlier_ones(dashboard: Dashboard) -> None:
    now, alice, admin = dashboard.auth.clock(), dashboard.user(), dashboard.staff()
    long_ago = log_call(dashboard, alice, now - timedelta(days=9), "upstream_timeout")
    page = admin.get("/admin/requests?outcome=failed")
    assert shown(page.text, long_ago) == [False]
    assert f"until={now - timedelta(days=7):%Y-%m-%d}" in page.text
    assert shown(
        admin.get(f"/admin/requests?outcome=failed&until={now - timedelta(days=7):%Y-%m-%dT%H:%M}").text, long_ago
    )[0]
    assert shown(admin.get("/admin/requests?outcome=failed&account=alice@example.com").text, long_ago) == [True]


def test_a_call_has_a_page_of_its_own_without_what_was_asked(dashboard: Dashboard) -> None:
    alice, support = dashboard.user(), dashboard.staff(Role.SUPPORT)
    call = log_call(dashboard, alice, dashboard.auth.clock(), "upstream_timeout")
    found = support.get(f"/admin/requests?request_id={call}")
    assert (found.status_code, found.headers["Location"]) == (303, f"/admin/requests/{call}")
    words = text_of(support.get(found.headers["Location"]))
    for expected in (str(call), "alice@example.com", "upstream_timeout", "504", "120 ms", HASH):
        assert expected in words


def test_what_is_no_call_is_said(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    for typed in (str(uuid4()), "4711"):
        page = admin.get("/admin/requests", query_string={"request_id": typed})
        assert (page.status_code, "No call has this request ID" in text_of(page)) == (200, True)
    assert admin.get(f"/admin/requests/{uuid4()}").status_code == 404


@pytest.mark.parametrize("query", ["since=yesterday", "since=2026-02-30T00:00", "outcome=good", "cursor=x", "goal=run"])
def test_a_filter_that_makes_no_sense_is_said(dashboard: Dashboard, query: str) -> None:
    page = dashboard.staff().get(f"/admin/requests?{query}")
    assert (page.status_code, query.partition("=")[0] in text_of(page)) == (422, True)


def test_an_abandoned_call_is_shown_with_what_is_known(dashboard: Dashboard) -> None:
    call = log_call(dashboard, dashboard.user(), dashboard.auth.clock(), "abandoned")
    dashboard.query(
        "UPDATE request_logs SET outcome = 'abandoned', request_data_hash = NULL, tier = NULL, status = NULL,"
        " details = CAST(:details AS jsonb)",
        details='{"image_format": "png"}',
    )
    admin = dashboard.staff()
    for path in ("/admin/requests?outcome=abandoned", f"/admin/requests/{call}"):
        page = admin.get(path)
        assert (page.status_code, "abandoned" in text_of(page), "None" in text_of(page)) == (200, True, False)
    assert "image format png" in text_of(page)
