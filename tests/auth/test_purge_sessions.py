"""The job that deletes sessions which ended long ago."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import text

from auth.purge import PURGES
from database import db, transaction
from database.base import uuid7
from tests.bare_app import bare_app

NOW = datetime(2030, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    with app.app_context():
        yield app
        db.engine.dispose()


def add_session(*, expires: datetime, idle: datetime, revoked: datetime | None = None) -> UUID:
    user, session_id = uuid7(), uuid7()
    with transaction() as session:
        session.execute(
            text(
                "INSERT INTO users (id, email, email_key, created_at, updated_at)"
                " VALUES (:id, :mail, :mail, now(), now())"
            ),
            {"id": user, "mail": f"{user}@example.com"},
        )
        session.execute(
            text(
                "INSERT INTO sessions (id, user_id, salt, created_at, auth_time, last_seen_at, remember,"
                " idle_expires_at, expires_at, revoked_at)"
                " VALUES (:id, :user, '', now(), now(), now(), false, :idle, :expires, :revoked)"
            ),
            {"id": session_id, "user": user, "idle": idle, "expires": expires, "revoked": revoked},
        )
    return session_id


def left() -> set[UUID]:
    with transaction() as session:
        return set(session.scalars(text("SELECT id FROM sessions")))


def test_sessions_that_ended_a_month_ago_are_deleted_and_no_others(app: Flask) -> None:
    alive = add_session(expires=NOW + DAY, idle=NOW + DAY)
    ended_lately = add_session(expires=NOW + DAY, idle=NOW + DAY, revoked=NOW - 29 * DAY)
    add_session(expires=NOW - 31 * DAY, idle=NOW + DAY)
    add_session(expires=NOW + DAY, idle=NOW - 31 * DAY)
    add_session(expires=NOW + DAY, idle=NOW + DAY, revoked=NOW - 31 * DAY)

    assert PURGES["purge_sessions"].run(lambda: NOW) == 3
    assert left() == {alive, ended_lately}
    assert PURGES["purge_sessions"].run(lambda: NOW) == 0
