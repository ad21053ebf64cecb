"""The whole application with rows as they would be after weeks, and an admin who reads reports of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from admin.assembled import ASSEMBLED, Assembled
from auth.principal import Role
from database import reading, transaction

USER = UUID(int=0xFF)
NOON = timedelta(hours=12)


@dataclass(frozen=True)
class Reporting:
    app: Flask

    @property
    def made(self) -> Assembled:
        made: Assembled = self.app.extensions[ASSEMBLED]
        return made

    def do(self, statement: str, *rows: Mapping[str, Any]) -> None:
        with self.app.app_context(), transaction() as session:
            session.execute(text(statement), list(rows) or None)

    def rows(self, statement: str, **given: Any) -> list[tuple[Any, ...]]:
        with self.app.app_context(), reading() as session:
            return [tuple(row) for row in session.execute(text(statement), given)]

    def count(self) -> int:
        with self.app.app_context():
            days = self.made.jobs.declared["count_days"].run()
        assert isinstance(days, int)
        return days

    def today(self) -> date:
        """By the clock that counts days."""
        ((today,),) = self.rows("SELECT (now() AT TIME ZONE 'UTC')::date")
        assert isinstance(today, date)
        return today

    def call(self, day: date, *, at: timedelta = NOON, **changes: Any) -> dict[str, Any]:
        """A row of the log, for `log`."""
        row = {
            "id": uuid4(),
            "user_id": USER,
            "feature": "predict",
            "outcome": "delivered",
            "success": True,
            "error_code": None,
            "ms": 100,
            "price": 0,
            "cost": 0,
            "at": start_of(day) + at,
            **changes,
        }
        if row["outcome"] in ("failed", "refused"):
            row |= {"success": False, "error_code": "upstream_error"}
        return row

    def log(self, *rows: Mapping[str, Any]) -> None:
        self.do(
            "INSERT INTO users (id, email, email_key, created_at, updated_at) VALUES (:id, :name, :name, now(), now())"
            " ON CONFLICT DO NOTHING",
            *({"id": user, "name": str(user)} for user in {row["user_id"] for row in rows}),
        )
        self.do(
            "INSERT INTO request_logs (id, user_id, request_data_hash, success, outcome, response_time_ms, error_code,"
            " created_at, feature, tier, status, upstream_ms, window_date, price_micros, cost_micros)"
            " VALUES (:id, :user_id, repeat('0', 64), :success, :outcome, :ms, :error_code,"
            " :at, :feature, 'free', 200, 1, CAST(:at AS date), :price, :cost)",
            *rows,
        )

    def token(self, role: Role = Role.ADMIN) -> str:
        now, user, session = datetime.now(UTC), uuid4(), uuid4()
        later = now + timedelta(days=1)
        self.do(
            "INSERT INTO users (id, email, email_key, role, created_at, updated_at)"
            " VALUES (:id, :name, :name, :role, now(), now())",
            {"id": user, "name": str(user), "role": role.value},
        )
        self.do(
            "INSERT INTO sessions (id, user_id, salt, created_at, auth_time, last_seen_at, idle_expires_at, expires_at, remember)"
            " VALUES (:id, :user, '', now(), now(), now(), :later, :later, false)",
            {"id": session, "user": user, "later": later},
        )
        tokens = self.made.auth.access_tokens
        return tokens.issue(user_id=user, session_id=session, auth_time=now, not_after=later).text

    def get(self, report: str, *, token: str | None, accept: str = "application/json", **query: Any) -> TestResponse:
        headers = {"Accept": accept} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        return self.app.test_client().get(f"/api/admin/analytics/{report}", query_string=query, headers=headers)

    def report(self, name: str, **query: Any) -> list[dict[str, Any]]:
        answer = self.get(name, token=self.token(), **query)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.get_json()["rows"]
        return rows


def start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
