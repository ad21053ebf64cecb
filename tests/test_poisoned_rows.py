"""Every job that is started by the clock gets three rows to deal with, the second of which cannot be dealt with.

The other two are done all the same, the run does not fail, and the operators are told which row it was. A job that is
declared without a row in BATCHES fails here.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from config import load_settings
from database import db, reading, transaction
from database.jobs.declare import JobName, Jobs
from sandbox.apple_server.sold_app import ServerApiKey
from sandbox.stripe_server.development_prices import PRICES_SETTING
from tests.databases import TABLES, MigratedDatabases
from tests.whole.environment import ALL, production_environment

LONG_AGO = "'2000-01-01'"
ID = "'00000000-0000-7000-8000-00000000000{n}'"
USER = "'00000000-0000-7000-8000-0000000000ff'"
SECOND = ID.format(n=2).strip("'")


@dataclass(frozen=True)
class Batch:
    """`row` are the columns and values of the row with the number `{n}`; `key` names it, as does `item` in the operators' list."""

    job: str
    name: str
    table: str
    columns: str
    row: str
    key: str = "id"
    item: str = SECOND


BATCHES = (
    Batch(
        "purge_sessions",
        "purge_sessions",
        "sessions",
        "id, user_id, salt, created_at, auth_time, last_seen_at, idle_expires_at, expires_at, remember",
        f"{ID}, {USER}, '', now(), now(), now(), {LONG_AGO}, {LONG_AGO}, false",
    ),
    Batch(
        "purge_api_keys",
        "purge_api_keys",
        "api_keys",
        "id, user_id, token_hash, start, name, scopes, allowed_networks, created_at, expires_at",
        f"{ID}, {USER}, '\\x0{{n}}', 'x', 'x', '{{{{}}}}', '{{{{}}}}', now(), {LONG_AGO}",
    ),
    Batch(
        "purge_passkey_challenges",
        "purge_passkey_challenges",
        "passkey_challenges",
        "challenge, purpose, expires_at",
        f"'\\x0{{n}}', 'sign_in', {LONG_AGO}",
        key="challenge",
        item="\\x02",
    ),
    Batch(
        "purge_sign_in_challenges",
        "purge_sign_in_challenges",
        "sign_in_challenges",
        "id, user_id, token_hash, method, choices, state_version, created_at, expires_at",
        f"{ID}, {USER}, '\\x0{{n}}', 'password', '{{{{}}}}', 1, now(), {LONG_AGO}",
    ),
    Batch(
        "purge_wrong_second_factors",
        "purge_wrong_second_factors",
        "wrong_second_factors",
        "id, user_id, tried_at",
        f"{ID}, {USER}, {LONG_AGO}",
    ),
    Batch(
        "purge_security_events",
        "purge_security_events",
        "security_events",
        "id, occurred_at, event, detail",
        f"{ID}, {LONG_AGO}, 'signed_in', '{{{{}}}}'",
    ),
    Batch(
        "purge_exports",
        "purge_exports",
        "data_exports",
        "id, user_id, requested_at, expires_at",
        f"{ID}, {USER}, {LONG_AGO}, {LONG_AGO}",
    ),
    Batch(
        "purge_dead_emails",
        "purge_dead_emails",
        "dead_emails",
        'id, user_id, template, address, "values", reason, failed_at',
        f"{ID}, {USER}, 'x', 'x', '{{{{}}}}', 'x', {LONG_AGO}",
    ),
    Batch(
        "purge_one_time_codes",
        "purge_one_time_codes",
        "one_time_codes",
        "id, user_id, purpose, email, created_at, link_expires_at, code_expires_at, used_at",
        f"{ID}, {USER}, 'verify_email', 'x', now(), {LONG_AGO}, {LONG_AGO}, now()",
    ),
    Batch(
        "purge_accounts",
        "purge_accounts",
        "users",
        "id, email, email_key, created_at, updated_at, is_active, delete_after",
        f"{ID}, '{{n}}', '{{n}}', now(), now(), false, {LONG_AGO}",
    ),
    Batch(
        "revoke_apple_tokens",
        "revoke_apple_tokens",
        "apple_refresh_tokens",
        "id, client_id, sealed_token, created_at",
        f"{ID}, 'x', 'sealed under a key that is gone', now()",
    ),
    Batch(
        "purge_request_logs",
        "request_logs",
        "request_logs",
        "id, user_id, request_data_hash, success, response_time_ms, feature, tier, status, upstream_ms, window_date, created_at",
        f"{ID}, {USER}, repeat('0', 64), true, 1, 'predict', 'free', 200, 1, {LONG_AGO}, {LONG_AGO}",
    ),
    Batch(
        "purge_usage_counters",
        "usage_counters",
        "usage_counters",
        'user_id, feature, unit, "window", used',
        f"{ID}, 'predict', 'call', '2000-01-01', 1",
        key="user_id",
        item=f"{SECOND}/predict/call/2000-01-01",
    ),
    Batch(
        "purge_idempotency_keys",
        "idempotency_keys",
        "idempotency_keys",
        "user_id, route, key_sha256, fingerprint, request_id, lease_until, created_at",
        f"{ID}, 'predict', '\\x0{{n}}', 'x', {ID}, {LONG_AGO}, {LONG_AGO}",
        key="user_id",
        item=f"{SECOND}/predict/\\x02",
    ),
    Batch(
        "sweep_reservations",
        "usage_reservations",
        "usage_reservations",
        'request_id, user_id, feature, unit, "window", amount, lease_until, created_at',
        f"{ID}, {USER}, 'predict', 'call', '2000-01-01', 1, {LONG_AGO}, {LONG_AGO}",
        key="request_id",
        item=f"{SECOND}/predict/call/2000-01-01",
    ),
    Batch(
        "purge_conversations",
        "purge_conversations",
        "chat_conversations",
        "id, user_id, last_message_at, created_at, updated_at",
        f"{ID}, {USER}, {LONG_AGO}, {LONG_AGO}, {LONG_AGO}",
    ),
    Batch(
        "forget_seen_host_keys",
        "forget_seen_host_keys",
        "ssh_seen_host_keys",
        "id, user_id, host, port, algorithm, key, fingerprint, seen_at",
        f"{ID}, {USER}, 'example.com', {{n}}, 'ssh-ed25519', '', 'x', {LONG_AGO}",
    ),
    Batch(
        "purge_terminal_history",
        "purge_terminal_history",
        "terminal_commands",
        "user_id, id, command, at",
        f"{USER}, {ID}, 'ls', {LONG_AGO}",
        item=f"{USER.strip(chr(39))}/{SECOND}",
    ),
    Batch(
        "purge_terminal_sessions",
        "purge_terminal_sessions",
        "terminal_sessions",
        "id, user_id, state, rows, cols, created_at",
        f"{ID}, {USER}, 'created', 24, 80, {LONG_AGO}",
    ),
    Batch(
        "forget_failed_jobs",
        "forget_failed_jobs",
        "procrastinate_jobs",
        "id, queue_name, task_name, status",
        "{n}, 'x', 'x', 'failed'",
        item="2",
    ),
    Batch(
        "forget_job_failures",
        "forget_job_failures",
        "job_failures",
        "job_id, reason, at",
        f"{{n}}, 'x', {LONG_AGO}",
        key="job_id",
        item="2",
    ),
    Batch(
        "forget_passed_over_items",
        "forget_passed_over_items",
        "passed_over_items",
        "batch, item, reason, times, first_at, last_at",
        f"'old', '{{n}}', 'x', 1, {LONG_AGO}, {LONG_AGO}",
        key="item",
        item="old/2",
    ),
)

ELSEWHERE = {
    "count_days",
    "send_budget_emails",
    "sweep_billing_events",
    "release_reservations",
    "hand_over_tiers",
    "reconcile_billing",
    "forget_billing_events",
    "create_billing_periods",
    "mark_overdue_periods",
    "sweep_chat_replies",
    "audit_stock",
    "finish_refunds",
    "release_unpaid_orders",
}
"""Jobs of packages that have tests of their own."""


@pytest.fixture(scope="module")
def running(migrated_databases: MigratedDatabases) -> Iterator[Flask]:
    with migrated_databases.one() as url:
        app = application(url)
        yield app
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def app(running: Flask) -> Iterator[Flask]:
    """On an empty database."""
    with running.app_context():
        yield running
        db.session.remove()
        tables = [name for (name,) in rows(TABLES) if name != "alembic_version"]
        do(
            "DROP FUNCTION IF EXISTS refuse() CASCADE",
            "SET LOCAL session_replication_role = replica",
            *(f'DELETE FROM "{name}"' for name in tables),
        )


def application(database_url: str) -> Flask:
    settings = load_settings(
        {
            **production_environment(database_url, "https://predict.example.com"),
            "FLASK_ENV": "development",
            "CAPABILITIES": ALL,
            "CHAT_RETENTION_DAYS": "30",
            "STRIPE_SECRET_KEY": "sk_test_x",
            "STRIPE_WEBHOOK_SECRET": "whsec_x",
            "STRIPE_PRICES": PRICES_SETTING,
            "APPLE_CLIENT_IDS": "com.example.app",
            "APPLE_SIGN_IN_KEY_ID": "KEY0000001",
            "APPLE_SIGN_IN_TEAM_ID": "TEAM000001",
            "APPLE_SIGN_IN_PRIVATE_KEY": ServerApiKey().p8.decode(),
        }
    )
    return assemble(settings)


def jobs_of(app: Flask) -> Jobs:
    made: Assembled = app.extensions[ASSEMBLED]
    return made.jobs


def rows(statement: str) -> list[tuple[Any, ...]]:
    with reading() as session:
        return [tuple(row) for row in session.execute(text(statement))]


def do(*statements: str) -> None:
    with transaction() as session:
        for statement in statements:
            session.connection().exec_driver_sql(statement)


def test_every_job_of_the_clock_has_a_batch_here(app: Flask) -> None:
    assert {name for name, job in jobs_of(app).declared.items() if job.cron} == {
        *(batch.job for batch in BATCHES),
        *ELSEWHERE,
    }


def test_every_job_that_is_enqueued_is_one_that_workers_know(app: Flask) -> None:
    ours = [module for name, module in sys.modules.items() if name.partition(".")[0] in {"auth", "gateway", "payments"}]
    enqueued = {value for module in ours for value in vars(module).values() if isinstance(value, JobName)}
    assert {"send_email", "cancel_at_stripe"} <= enqueued <= jobs_of(app).declared.keys()


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: batch.name)
def test_one_bad_row_holds_up_no_other(app: Flask, batch: Batch) -> None:
    do(
        f"INSERT INTO users (id, email, email_key, created_at, updated_at) VALUES ({USER}, 'a', 'a', now(), now())",
        *(f"INSERT INTO {batch.table} ({batch.columns}) VALUES ({batch.row.format(n=n)})" for n in (1, 2, 3)),
        "UPDATE procrastinate_events SET at = '2000-01-01'",
    )
    ((second,),) = rows(f"SELECT {batch.key}::text FROM {batch.table} WHERE ({batch.key}::text LIKE '%2')")
    do(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'an unexpected foreign key'; END $$",
        f"CREATE TRIGGER refuse BEFORE DELETE ON {batch.table} FOR EACH ROW"
        f" WHEN (OLD.{batch.key}::text = '{second}') EXECUTE FUNCTION refuse()",
    )
    run = jobs_of(app).declared[batch.job].run

    assert run() == 2

    left = rows(f"SELECT {batch.key}::text FROM {batch.table} WHERE {batch.key}::text <> {USER}")
    assert (second,) in left
    if batch.table != "passed_over_items":
        assert left == [(second,)]
    noted = f"SELECT item, reason, times FROM passed_over_items WHERE batch = '{batch.name}'"
    assert rows(noted) == [(batch.item, "InternalError", 1)]

    assert run() == 0
    assert rows(noted) == [(batch.item, "InternalError", 1)]  # left alone for a while


@pytest.mark.slow
def test_more_bad_accounts_than_a_run_looks_at_do_not_starve_the_others(app: Flask) -> None:
    do(
        "INSERT INTO users (id, email, email_key, created_at, updated_at, is_active, delete_after)"
        " SELECT gen_random_uuid(), n::text, n::text, now(), now(), false, timestamptz '2000-01-01' + n * interval '1 s'"
        " FROM generate_series(1, 102) AS n",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'an unexpected foreign key'; END $$",
        "CREATE TRIGGER refuse BEFORE DELETE ON users FOR EACH ROW"
        " WHEN (OLD.email::int <= 100) EXECUTE FUNCTION refuse()",
    )
    run = jobs_of(app).declared["purge_accounts"].run

    assert run() == 0
    assert run() == 2
