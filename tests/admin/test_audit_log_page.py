"""`/admin/audit`: the audit log."""

from datetime import timedelta
from uuid import uuid4

import structlog

from auth.audit.record import record
from auth.principal import Role
from database import transaction
from tests.admin.dashboard import Dashboard, text_of


def test_who_did_what_to_whom_is_found(dashboard: Dashboard) -> None:
    alice, bob, admin = dashboard.user(), dashboard.user("bob@example.com"), dashboard.staff()
    now = dashboard.auth.clock()
    with dashboard.app.app_context(), transaction() as session:
        record(session, "signed_in", now - timedelta(hours=2), user_id=alice, method="password")
        record(session, "signed_in", now - timedelta(hours=1), user_id=bob, method="apple")
        record(session, "account_disabled", now, user_id=bob, actor_id=admin.user_id, reason="Ticket 4711")
    words = text_of(admin.get("/admin/audit"))
    assert words.index("Ticket 4711") < words.index("method apple") < words.index("method password")
    assert admin.email in words
    ago = f"{now - timedelta(minutes=90):%Y-%m-%dT%H:%M}"
    for query, expected in (
        ("account=alice@example.com", [True, False, False]),
        ("event=signed_in", [True, True, False]),
        (f"actor={admin.email}", [False, False, True]),
        (f"since={ago}", [False, True, True]),
        (f"until={ago}", [True, False, False]),
        ("limit=1", [False, False, True]),
    ):
        words = text_of(admin.get(f"/admin/audit?{query}"))
        assert [each in words for each in ("method password", "method apple", "Ticket 4711")] == expected, query
    assert "cursor=" in admin.get("/admin/audit?limit=1").text
    assert "No event matches" in text_of(admin.get(f"/admin/audit?actor={uuid4()}"))
    assert "No member of staff" in text_of(admin.get("/admin/audit?actor=carol@example.com"))
    assert admin.get("/admin/audit?since=yesterday").status_code == 422


def test_support_reads_the_events_of_one_account_and_that_is_written_down(dashboard: Dashboard) -> None:
    alice, support = dashboard.user(), dashboard.staff(Role.SUPPORT)
    with dashboard.app.app_context(), transaction() as session:
        record(session, "signed_in", dashboard.auth.clock(), user_id=alice)
    assert "signed_in" not in text_of(support.get("/admin/audit"))
    with structlog.testing.capture_logs() as logs:
        assert "signed_in" in text_of(support.get("/admin/audit?account=alice@example.com"))
        support.get(f"/admin/accounts/{alice}")
    read = {each["event"]: (each["actor_id"], each["subject_id"]) for each in logs if each.get("kind") == "security"}
    who = (str(support.user_id), str(alice))
    assert {name: tuple(map(str, each)) for name, each in read.items()} == {
        "security_events_read": who,
        "account_read": who,
    }
