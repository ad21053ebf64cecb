"""However long the request log is, its pages read only what they show, or a stretch of it that they say."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from admin.request_log.read import CallFilter, list_calls
from database import db
from tests.admin.dashboard import Dashboard

pytestmark = pytest.mark.slow
CALLS, DAYS, USERS = 60_000, 60, 300
A_WEEK = CALLS * 7 // DAYS
LOG = """
WITH people AS (
    INSERT INTO users (id, email, email_key, created_at, updated_at)
    SELECT gen_random_uuid(), n || '@example.com', n || '@example.com', now(), now() FROM generate_series(1, :users) AS n
    RETURNING id
), numbered AS (SELECT id, row_number() OVER () AS n FROM people)
INSERT INTO request_logs (id, user_id, request_data_hash, success, outcome, response_time_ms, created_at, feature, tier, status,
                          upstream_ms, window_date)
SELECT gen_random_uuid(), numbered.id, repeat('a', 64), true, 'delivered', 100, at, 'predict', 'free', 200, 90, at::date
FROM (
    SELECT 1 + g % :users AS n, CAST(:now AS timestamptz) - g * make_interval(secs => :seconds) AS at
    FROM generate_series(1, :calls) AS g
) AS call JOIN numbered USING (n)
"""


def rows_read(plan: dict[str, Any]) -> int:
    """From the log, by this part of a plan and those below it."""
    own = 0
    if plan.get("Relation Name") == "request_logs":
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return round(own) + sum(rows_read(each) for each in plan.get("Plans", ()))


def test_no_page_reads_the_whole_log(dashboard: Dashboard) -> None:
    now = dashboard.auth.clock()
    dashboard.query(LOG, users=USERS, calls=CALLS, now=now, seconds=DAYS * 86400 / CALLS)
    dashboard.query("ANALYZE request_logs")
    alice, middle = dashboard.query("SELECT user_id, id FROM request_logs ORDER BY created_at OFFSET 30000 LIMIT 1")[0]
    asked: list[str] = []

    def note(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        asked.append(cursor.mogrify(statement, parameters).decode())

    with dashboard.app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
        most = {}
        for wanted, cursor, allowed in (
            (CallFilter(), None, 60),
            (CallFilter(), middle, 60),
            (CallFilter(until=now - timedelta(days=30)), None, 60),
            (CallFilter(user_id=alice), None, CALLS // USERS),
            (CallFilter(user_id=alice, outcome="failed"), None, CALLS // USERS),
            (CallFilter(error_code="upstream_timeout"), None, A_WEEK + 1),
            (CallFilter(feature="chat", until=now - timedelta(days=30)), None, A_WEEK + 1),
        ):
            list_calls(wanted.bounded(now), cursor, 50)
            most[asked[-1]] = allowed
        event.remove(db.engine, "before_cursor_execute", note)
    for statement, allowed in most.items():
        (plan,) = dashboard.query(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".replace(":", r"\:"))[0][0]
        assert rows_read(plan["Plan"]) <= allowed, statement
