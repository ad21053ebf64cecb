"""`/api/gateway/usage` in an application with predictions alone: requests by pages and as CSV, months, budgets, e-mails."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import event, text
from werkzeug.test import TestResponse

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from auth.assembly import Auth
from config import load_settings
from database import db, reading, transaction
from database.base import utc_now
from metering.usage.read import PORTION
from metering.usage.send_budget_emails import send_budget_emails
from metering.windows import month_of
from tests.auth.accounts_app import PASSWORD, bearer
from tests.databases import MigratedDatabases
from tests.whole.environment import PUBLIC_HOST, production_environment

BASE = f"https://{PUBLIC_HOST}"
USAGE = "/api/gateway/usage"


@dataclass
class Person:
    id: UUID
    token: str


@dataclass
class Site:
    app: Flask
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def auth(self) -> Auth:
        made: Assembled = self.app.extensions[ASSEMBLED]
        return made.auth

    @property
    def alice(self) -> Person:
        return self.person("alice")

    @property
    def bob(self) -> Person:
        return self.person("bob")

    def person(self, name: str) -> Person:
        if name not in self.people:
            credentials = {"email": f"{name}@example.com", "password": PASSWORD}
            made = self.app.test_client().post("/api/auth/register", json=credentials, base_url=BASE).get_json()
            self.people[name] = Person(UUID(made["user"]["id"]), made["access_token"])
        return self.people[name]

    def call(self, method: str, path: str, token: str | None = None, body: Any = None) -> TestResponse:
        headers = bearer(token or self.alice.token)
        return self.app.test_client().open(path, method=method, json=body, headers=headers, base_url=BASE)

    def get(self, path: str, token: str | None = None) -> Any:
        answer = self.call("GET", USAGE + path, token)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def refused(self, path: str, token: str | None = None) -> tuple[int, str]:
        answer = self.call("GET", USAGE + path, token)
        return answer.status_code, answer.get_json()["error"]

    def log(self, at: str, person: Person | None = None, **more: Any) -> str:
        """A call that ended then. Returns its id."""
        row = {
            "id": uuid4(),
            "user_id": (person or self.alice).id,
            "request_data_hash": "0" * 64,
            "success": True,
            "outcome": "delivered",
            "response_time_ms": 12,
            "feature": "predict",
            "tier": "free",
            "status": 200,
            "upstream_ms": 9,
            "window_date": at[:10],
            "created_at": f"{at}+00:00",
            **more,
        }
        columns = ", ".join(row)
        with self.app.app_context(), transaction() as session:
            session.execute(text(f"INSERT INTO request_logs ({columns}) VALUES (:{', :'.join(row)})"), row)
        return str(row["id"])

    def failed(self, at: str, **more: Any) -> str:
        how: dict[str, Any] = {"success": False, "outcome": "failed", "status": 502, "error_code": "status_500"}
        return self.log(at, **(how | more))

    def spend(self, micros: int, person: Person | None = None) -> None:
        row = {"id": (person or self.alice).id, "month": month_of(utc_now()).name, "used": micros}
        with self.app.app_context(), transaction() as session:
            session.execute(
                text(
                    'INSERT INTO usage_counters (user_id, feature, unit, "window", used)'
                    " VALUES (:id, 'account', 'micros', :month, :used)"
                    ' ON CONFLICT (user_id, feature, unit, "window") DO UPDATE SET used = excluded.used'
                ),
                row,
            )

    def do(self, statement: str) -> None:
        with self.app.app_context(), transaction() as session:
            session.execute(text(statement))

    def emails(self) -> list[tuple[str, int]]:
        """Those that wait: to whom, and of how many per cent."""
        with self.app.app_context(), reading() as session:
            found = session.execute(
                text("SELECT args FROM procrastinate_jobs WHERE args ->> 'template' = 'budget_used' ORDER BY id")
            ).scalars()
            return [(args["to"].partition("@")[0], args["values"]["percent"]) for args in found]


@pytest.fixture(scope="module")
def running(migrated_databases: MigratedDatabases) -> Iterator[Site]:
    mail = {
        "EMAIL_HOST": "mail.example.com",
        "DEFAULT_FROM_EMAIL": "no-reply@example.com",
        "EMAIL_HOST_USER": "x",
        "EMAIL_HOST_PASSWORD": "x",
    }
    with migrated_databases.one() as url:
        environ = {
            **production_environment(url, "https://predict.example.com"),
            "CAPABILITIES": "predict",
            "COMPAT_ROUTES": "on",
            **mail,
        }
        app = assemble(load_settings(environ))
        yield Site(app)
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """The two people stay, and nothing of what they did."""
    yield running
    tables = ("request_logs", "usage_counters", "usage_budgets", "procrastinate_jobs", "passed_over_items")
    running.do("; ".join(f"DELETE FROM {table}" for table in tables))


def ids(answer: Any) -> list[str]:
    return [row["request_id"] for row in answer["requests"]]


class TestRequests:
    def test_the_newest_come_first_page_after_page(self, site: Site) -> None:
        same = [site.log("2026-03-02T10:00:00") for _ in range(3)]
        newest, oldest = site.log("2026-03-03T10:00:00"), site.log("2026-03-01T10:00:00")
        site.log("2026-03-02T11:00:00", site.bob)
        found, path = [], "/requests?limit=2"
        for left in (True, True, False):
            page = site.get(path)
            found += ids(page)
            assert (page["next_cursor"] is not None) is left
            path = f"/requests?limit=2&cursor={page['next_cursor']}"
        assert found == [newest, *sorted(same, reverse=True), oldest]

    def test_a_row_says_what_became_of_a_request(self, site: Site) -> None:
        key = uuid4()
        call = site.log(
            "2026-03-02T10:00:00",
            api_key_id=key,
            provider="openai",
            model="m-1",
            price_micros=1_002_500,
            units='{"input_tokens": 7, "output_tokens": 9}',
            details='{"method": "POST", "route": "/api/gateway/photo", "mock": false, "estimated": true}',
        )
        (row,) = site.get("/requests")["requests"]
        assert row == {
            "request_id": call,
            "created_at": "2026-03-02T10:00:00Z",
            "day": "2026-03-02",
            "feature": "predict",
            "method": "POST",
            "route": "/api/gateway/photo",
            "status": "ok",
            "outcome": "delivered",
            "http_status": 200,
            "error": None,
            "cost_cents": 100.25,
            "key_id": str(key),
            "provider": "openai",
            "model": "m-1",
            "mock": False,
            "input_tokens": 7,
            "output_tokens": 9,
            "estimated": True,
            "response_time_ms": 12,
        }

    def test_an_abandoned_one_is_listed_with_what_is_known(self, site: Site) -> None:
        unknown = {"request_data_hash": None, "tier": None, "status": None}
        site.failed("2026-03-02T10:00:00", outcome="abandoned", error_code="abandoned", **unknown)
        (row,) = site.get("/requests")["requests"]
        assert (row["status"], row["outcome"], row["http_status"], row["cost_cents"]) == (
            "failed",
            "abandoned",
            None,
            0,
        )

    def test_filters_narrow_the_list(self, site: Site) -> None:
        key = uuid4()
        paid = site.log("2026-03-01T23:00:00", price_micros=10_000, api_key_id=key)
        free = site.log("2026-03-02T10:00:00", feature="other")
        failed = site.failed("2026-03-03T00:00:01", window_date="2026-03-02")  # reserved before midnight
        expected = {
            "": [failed, free, paid],
            "?feature=other": [free],
            "?feature=unheard-of": [],
            "?status=ok": [free, paid],
            "?status=failed": [failed],
            "?status=free": [failed, free],
            f"?key_id={key}": [paid],
            "?from=2026-03-02": [failed, free],
            "?from=2026-03-02&to=2026-03-02": [failed, free],
            "?to=2026-03-01": [paid],
            "?to=9999-12-31&from=0001-01-01": [failed, free, paid],
            "?from=2026-03-03": [],
        }
        assert {query: ids(site.get(f"/requests{query}")) for query in expected} == expected

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=201",
            "cursor=1",
            "status=late",
            "from=2026-02-30",
            "from=1",
            "key_id=x",
            "feature=",
            "page=2",
        ],
    )
    def test_a_query_that_is_not_understood_is_422(self, site: Site, query: str) -> None:
        assert site.refused(f"/requests?{query}") == (422, "validation_failed")

    def test_a_cursor_of_somebody_else_or_of_another_list_is_422(self, site: Site) -> None:
        theirs = site.log("2026-03-02T10:00:00", site.bob)
        for cursor in (theirs, uuid4()):
            assert site.refused(f"/requests?cursor={cursor}") == (422, "validation_failed")

    def test_a_key_of_somebody_else_is_404(self, site: Site) -> None:
        made = site.call("POST", "/api/auth/tokens", site.bob.token, {"name": "robot", "scopes": ["usage"]}).get_json()
        for format_of_list in ("", ".csv"):
            path = f"/requests{format_of_list}?key_id={made['id']}"
            assert site.refused(path) == (404, "not_found")
            assert site.call("GET", USAGE + path, site.bob.token).status_code == 200

    def test_csv_has_the_same_rows_through_all_portions(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("metering.usage.read.PORTION", 2)
        calls = [site.log(f"2026-03-0{day}T10:00:00") for day in (5, 4, 3, 2)]
        site.log("2026-03-01T10:00:00", model="=cmd()", price_micros=2_500)
        answer = site.call("GET", f"{USAGE}/requests.csv")
        assert (answer.status_code, answer.mimetype) == (200, "text/csv")
        rows = list(csv.DictReader(StringIO(answer.text)))
        assert [row["request_id"] for row in rows][:4] == calls
        assert (rows[4]["model"], rows[4]["cost_cents"], rows[0]["cost_cents"]) == ("'=cmd()", "0.25", "0")
        assert len(rows) == 5
        assert PORTION > 2


class TestSummary:
    def test_a_month_is_added_up_by_feature_day_and_key(self, site: Site) -> None:
        key = uuid4()
        site.log("2026-03-01T10:00:00", price_micros=1_000_000, api_key_id=key)
        site.log("2026-04-01T00:00:02", price_micros=2_500, window_date="2026-03-31", feature="photo")
        site.failed("2026-03-01T11:00:00")
        site.log("2026-04-01T10:00:00", price_micros=7)
        site.log("2026-02-28T23:59:59", price_micros=7)
        site.log("2026-03-05T10:00:00", site.bob, price_micros=7)
        found = site.get("/summary?month=2026-03")
        assert found["period"] == "2026-03"
        assert found["requests"] == {"total": 3, "ok": 2, "failed": 1, "free": 1}
        assert found["cost_cents"] == 100.25

        def part(total: int, ok: int, failed: int, free: int, cost: float) -> dict[str, float]:
            return {"total": total, "ok": ok, "failed": failed, "free": free, "cost_cents": cost}

        assert found["by_feature"] == [
            {"feature": "photo", **part(1, 1, 0, 0, 0.25)},
            {"feature": "predict", **part(2, 1, 1, 1, 100)},
        ]
        assert found["by_day"] == [
            {"day": "2026-03-01", **part(2, 1, 1, 1, 100)},
            {"day": "2026-03-31", **part(1, 1, 0, 0, 0.25)},
        ]
        assert found["by_key"] == [
            {"key_id": None, **part(2, 1, 1, 1, 0.25)},
            {"key_id": str(key), **part(1, 1, 0, 0, 100)},
        ]
        assert found["limits"]["predict"]["per_day"] == 5
        assert found["budget"]["monthly_cents"] is None

    def test_a_month_without_requests_is_empty(self, site: Site) -> None:
        for query in ("", "?month=1000-01", "?month=2999-12"):
            found = site.get(f"/summary{query}")
            assert found["requests"] == {"total": 0, "ok": 0, "failed": 0, "free": 0}
            assert (found["cost_cents"], found["by_feature"], found["by_day"], found["by_key"]) == (0, [], [], [])
        assert site.get("/summary")["period"] == f"{utc_now():%Y-%m}"

    @pytest.mark.parametrize(
        "month", ["2026-13", "2026-00", "0999-01", "9999-12", "2026-1", "2026", "2026-03-01", "", "202603"]
    )
    def test_what_is_no_month_is_422(self, site: Site, month: str) -> None:
        assert site.refused(f"/summary?month={month}") == (422, "validation_failed")


class TestWhoMayRead:
    def test_a_key_with_the_scope_reads_usage_and_no_key_the_budget(self, site: Site) -> None:
        keys = {
            scope: site.call("POST", "/api/auth/tokens", body={"name": scope, "scopes": [scope]}).get_json()["token"]
            for scope in ("usage", "predict")
        }
        for path in ("/requests", "/requests.csv", "/summary"):
            found = {scope: site.call("GET", USAGE + path, key).status_code for scope, key in keys.items()}
            assert found == {"usage": 200, "predict": 403}
        assert {site.call("GET", f"{USAGE}/budget", key).status_code for key in keys.values()} == {403}
        change = site.call("PUT", f"{USAGE}/budget", keys["usage"], {"monthly_cents": 1})
        assert change.status_code == 403

    def test_the_former_paths_answer_alike(self, site: Site) -> None:
        call = site.log("2026-03-02T10:00:00")
        requests = site.call("GET", "/api/customers/usage/requests?limit=1")
        assert (ids(requests.get_json()), "Deprecation" in requests.headers) == ([call], True)
        summary = site.call("GET", "/api/customers/usage/summary?month=2026-03").get_json()
        assert summary == site.get("/summary?month=2026-03")


class TestBudget:
    def test_it_is_set_changed_and_removed(self, site: Site) -> None:
        month = month_of(utc_now())
        resets_at = f"{datetime.fromtimestamp(month.ends, UTC):%Y-%m-%dT%H:%M:%SZ}"
        site.spend(1_002_500)
        assert site.get("/budget") == {"monthly_cents": None, "used_cents": 100.25, "resets_at": resets_at}
        for cents in (700, 0, 50, None):
            changed = site.call("PUT", f"{USAGE}/budget", body={"monthly_cents": cents})
            assert (changed.status_code, changed.get_json()) == (200, site.get("/budget"))
            assert changed.get_json()["monthly_cents"] == cents
        assert site.get("/budget", site.bob.token)["used_cents"] == 0

    @pytest.mark.parametrize("cents", [-1, 1.5, "100", 1_000_000_001, True])
    def test_what_is_no_budget_is_422(self, site: Site, cents: object) -> None:
        answer = site.call("PUT", f"{USAGE}/budget", body={"monthly_cents": cents})
        assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/monthly_cents")
        assert site.call("PUT", f"{USAGE}/budget", body={}).status_code == 422


OTHERS, OWN = 40_000, 100
LOG = """
WITH people AS (
    INSERT INTO users (id, email, email_key, created_at, updated_at)
    SELECT gen_random_uuid(), n || '@example.net', n || '@example.net', now(), now() FROM generate_series(1, 100) AS n
    RETURNING id
), numbered AS (SELECT id, row_number() OVER () AS n FROM people)
INSERT INTO request_logs (id, user_id, request_data_hash, success, outcome, response_time_ms, created_at, feature, tier, status,
                          upstream_ms, window_date)
SELECT gen_random_uuid(), CASE WHEN g % {each} = 0 THEN '{alice}' ELSE numbered.id END, repeat('a', 64), true, 'delivered', 100,
       at, 'predict', 'free', 200, 90, at::date
FROM (SELECT g, 1 + g % 100 AS n, timestamptz '2026-03-01' + g * interval '1 minute' AS at FROM generate_series(1, {others}) AS g)
    AS call JOIN numbered USING (n)
"""


def rows_read(plan: dict[str, Any]) -> int:
    """From the log, by this part of a plan and those below it."""
    own = 0
    if plan.get("Relation Name") == "request_logs":
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return round(own) + sum(rows_read(each) for each in plan.get("Plans", ()))


@pytest.mark.slow
def test_nobody_waits_for_the_calls_of_others(site: Site) -> None:
    site.do(LOG.format(others=OTHERS, each=OTHERS // OWN, alice=site.alice.id))
    site.do("ANALYZE request_logs")
    asked: list[str] = []

    def note(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if "request_logs" in statement:
            asked.append(cursor.mogrify(statement, parameters).decode())

    with site.app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
        try:
            page = site.get("/requests?limit=10")
            site.get(f"/requests?limit=10&cursor={page['next_cursor']}")
            site.get("/requests?status=failed&from=2026-03-05&to=2026-03-06")
            site.get("/summary?month=2026-03")
        finally:
            event.remove(db.engine, "before_cursor_execute", note)
        assert len(asked) == 5
        for statement in asked:
            with reading() as session:
                explained = session.connection().exec_driver_sql(
                    f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".replace("%", "%%")
                )
                ((plan,),) = explained.scalars().all()
            assert rows_read(plan["Plan"]) <= OWN, statement


class TestEmails:
    def sent(self, site: Site, auth: Auth | None = None) -> int:
        with site.app.app_context():
            return send_budget_emails(auth or site.auth)

    def budget(self, site: Site, cents: int, person: Person | None = None) -> None:
        site.call("PUT", f"{USAGE}/budget", None if person is None else person.token, {"monthly_cents": cents})

    def test_80_and_100_percent_are_told_once_each_a_month(self, site: Site) -> None:
        self.budget(site, 100)
        for micros, sent in ((799_999, 0), (800_000, 1), (999_999, 0), (1_000_000, 1), (1_500_000, 0)):
            site.spend(micros)
            assert self.sent(site) == sent
            assert self.sent(site) == 0
        assert site.emails() == [("alice", 80), ("alice", 100)]

    def test_who_jumps_to_100_percent_is_told_of_that_alone(self, site: Site) -> None:
        self.budget(site, 100)
        site.spend(1_000_000)
        assert (self.sent(site), site.emails()) == (1, [("alice", 100)])

    def test_the_next_month_tells_anew(self, site: Site) -> None:
        self.budget(site, 100)
        site.spend(1_000_000)
        self.sent(site)
        later = utc_now() + timedelta(days=31)
        next_month = replace(site.auth, clock=lambda: later)
        assert self.sent(site, next_month) == 0
        site.do(f"UPDATE usage_counters SET \"window\" = '{month_of(later).name}', used = 900000")
        assert (self.sent(site, next_month), site.emails()) == (1, [("alice", 100), ("alice", 80)])

    def test_a_budget_of_nothing_tells_nothing(self, site: Site) -> None:
        self.budget(site, 0)
        site.spend(0)
        assert self.sent(site) == 0

    def test_one_bad_row_holds_up_no_other(self, site: Site) -> None:
        for person in (site.alice, site.bob):
            self.budget(site, 100, person)
            site.spend(1_000_000, person)
        site.do(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
            " CREATE TRIGGER refuse BEFORE UPDATE ON usage_budgets FOR EACH ROW"
            f" WHEN (OLD.user_id = '{site.alice.id}') EXECUTE FUNCTION refuse()"
        )
        try:
            assert (self.sent(site), site.emails()) == (1, [("bob", 100)])
            assert self.sent(site) == 0
        finally:
            site.do("DROP FUNCTION refuse() CASCADE")
        with site.app.app_context(), reading() as session:
            noted = session.execute(text("SELECT batch, item, times FROM passed_over_items")).all()
        assert [tuple(row) for row in noted] == [("budget_emails", str(site.alice.id), 1)]

    @pytest.mark.parametrize(
        ("percent", "subject"), [(80, "You have used 80 % of your budget"), (100, "You have used your whole budget")]
    )
    def test_an_email_says_what_is_used_and_what_follows(self, site: Site, percent: int, subject: str) -> None:
        values = {"percent": percent, "wholly": percent == 100, "until": "1 April 2026"}
        message = site.auth.mailer.write("x", "budget_used", "alice@example.com", values, utc_now())
        assert message["Subject"] == subject
        for part in message.iter_parts():
            assert "1 April 2026" in part.get_content()
