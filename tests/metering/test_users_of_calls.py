"""Each row of the log of calls belongs to a user, and neither of the two waits for the other."""

import uuid
from collections.abc import Iterator

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import text

from auth.account_change import hold_account
from database import reading, transaction
from tests.bare_app import bare_app, disconnect
from tests.gateway.running_gateway import running_gateway

ADD_USER = "INSERT INTO users (id, email, email_key, created_at, updated_at) VALUES (:user, :user, :user, now(), now())"
ADD_CALL = (
    "INSERT INTO prediction_requests (id, user_id, request_data_hash, success, response_time_ms, feature, tier, status,"
    " upstream_ms, window_date) VALUES (gen_random_uuid(), :user, repeat('0', 64), true, 1, 'predict', 'free', 200, 1, now())"
)
CALLS = "SELECT user_id::text FROM prediction_requests"


@pytest.fixture
def migrated(kept_database_url: str) -> Iterator[Flask]:
    """Nobody gets an account by making a call."""
    app = bare_app(kept_database_url)
    with app.app_context():
        yield app
    disconnect(app)


def execute(statement: str, user: uuid.UUID) -> None:
    with transaction() as session:
        session.execute(text(statement), {"user": str(user)})


def calls() -> list[str]:
    with reading() as session:
        return list(session.scalars(text(CALLS)))


def test_a_call_is_of_a_user_and_goes_with_it(migrated: Flask) -> None:
    alice, gone = uuid.uuid4(), uuid.uuid4()
    execute(ADD_USER, alice)
    execute(ADD_CALL, alice)
    with pytest.raises(Exception, match="ForeignKeyViolation"):
        execute(ADD_CALL, gone)
    execute("DELETE FROM users WHERE id = :user", alice)
    assert calls() == []


def test_a_prediction_is_settled_while_a_command_holds_its_users_row(database_url: str) -> None:
    with running_gateway(database_url, settle_seconds=0.5) as gateway:
        assert gateway.ask().status_code == 200
        with transaction() as session:
            hold_account(session, gateway.alice, None)
            assert gateway.ask().status_code == 200
        assert gateway.used() == 2


def test_the_constraint_is_validated(database_url: str) -> None:
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT convalidated, confdeltype FROM pg_constraint WHERE conname = 'fk_request_logs_user_id_users'"
        )
        assert cursor.fetchall() == [(True, "c")]
    connection.close()
