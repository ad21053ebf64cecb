"""What is kept for a while only: the log of calls, the counts of days, reservations that nobody returned."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from config import load_settings
from database import batch, reading, transaction
from metering.purge import purge_request_logs, purge_usage_counters, sweep_reservations
from tests.bare_app import bare_app, disconnect
from tests.whole.environment import production_environment


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    with app.app_context():
        yield app
    disconnect(app)


def execute(statement: str, **values: object) -> None:
    with transaction() as session:
        session.execute(text(statement), values)


def count(table: str) -> int:
    with reading() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def log(age: str, many: int = 1) -> None:
    execute(
        "INSERT INTO prediction_requests (id, user_id, request_data_hash, success, response_time_ms, feature, tier, status,"
        " upstream_ms, window_date, created_at) SELECT gen_random_uuid(), gen_random_uuid(), repeat('0', 64), true, 1,"
        " 'predict', 'free', 200, 1, current_date, now() - CAST(:age AS interval) FROM generate_series(1, :many)",
        age=age,
        many=many,
    )


def counted(days_ago: int, feature: str = "predict", unit: str = "call", hour: str = "") -> None:
    execute(
        'INSERT INTO usage_counters (user_id, feature, unit, "window", used)'
        " VALUES (gen_random_uuid(), :feature, :unit, (current_date - :days_ago)::text || :hour, 1)",
        days_ago=days_ago,
        feature=feature,
        unit=unit,
        hour=hour,
    )


def reserved(lease: str) -> None:
    execute(
        'INSERT INTO usage_reservations (request_id, user_id, feature, unit, "window", amount, lease_until, created_at)'
        " VALUES (gen_random_uuid(), gen_random_uuid(), 'predict', 'call', current_date::text, 1,"
        " now() + CAST(:lease AS interval), now())",
        lease=lease,
    )


def test_the_log_of_calls_is_kept_for_90_days(app: Flask) -> None:
    for age in ("91 days", "89 days", "0 days"):
        log(age)
    assert purge_request_logs(90) == 1
    assert count("request_logs") == 2


@pytest.mark.slow
def test_the_operator_says_how_long(database_url: str) -> None:
    environ = production_environment(database_url, "https://predict.example.com")
    app = assemble(load_settings({**environ, "CAPABILITIES": "predict", "REQUEST_LOG_DAYS": "31"}))
    made: Assembled = app.extensions[ASSEMBLED]
    with app.app_context():
        for age in ("32 days", "30 days"):
            log(age)
        assert made.jobs.declared["purge_request_logs"].run() == 1
        assert count("request_logs") == 1
    disconnect(app)


def test_what_is_more_than_a_portion_goes_in_one_run(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PORTION", 10)
    log("91 days", 35)
    log("1 day", 3)
    assert purge_request_logs(90) == 35
    assert count("request_logs") == 3


def test_a_run_ends_and_leaves_the_rest_to_the_next_one(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PORTION", 10)
    monkeypatch.setattr(batch, "MOST_PORTIONS", 2)
    log("91 days", 35)
    assert [purge_request_logs(90) for _ in range(3)] == [20, 15, 0]


def test_counts_are_kept_for_25_months(app: Flask) -> None:
    for days_ago in (762, 761, 0):
        counted(days_ago)
    assert purge_usage_counters() == 1
    assert count("usage_counters") == 2


def test_failures_are_forgotten_after_their_day(app: Flask) -> None:
    for days_ago in (2, 1, 0):
        counted(days_ago, unit="failure", hour="T17")
    assert purge_usage_counters() == 1
    assert count("usage_counters") == 2


def test_a_row_that_cannot_be_deleted_holds_up_no_other(app: Flask) -> None:
    execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poisoned'; END $$")
    execute(
        "CREATE TRIGGER refuse BEFORE DELETE ON usage_counters FOR EACH ROW"
        " WHEN (OLD.feature = 'poisoned') EXECUTE FUNCTION refuse()"
    )
    for feature in ("predict", "poisoned", "solve"):
        counted(900, feature)
    assert purge_usage_counters() == 2
    assert (count("usage_counters"), count("passed_over_items")) == (1, 1)


def test_the_sweeper_removes_only_what_ended_long_ago(app: Flask) -> None:
    for lease in ("-61 seconds", "-30 seconds", "60 seconds"):
        reserved(lease)
    assert sweep_reservations() == 1
    assert count("usage_reservations") == 2
