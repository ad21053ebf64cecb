"""The databases of tests: one that was used before is as good as new."""

import pytest

from tests.databases import MigratedDatabases, ask

TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
SPOIL = """
    INSERT INTO users (id, email, email_key, created_at, updated_at)
    VALUES (gen_random_uuid(), 'a@b.example', 'a@b.example', now(), now())
"""


def content(url: str) -> dict[str, object]:
    rows = {name: ask(url, f'SELECT json_agg(t ORDER BY t::text) FROM "{name}" AS t') for (name,) in ask(url, TABLES)}
    sequences = ask(url, "SELECT sequencename, coalesce(last_value, start_value) FROM pg_sequences ORDER BY 1")
    return {**rows, "sequences": sequences}


def test_a_used_database_is_emptied_and_has_another_name(migrated_databases: MigratedDatabases) -> None:
    with migrated_databases.one() as first:
        new = content(first)
        ask(
            first,
            SPOIL,
            "INSERT INTO usage_gates VALUES (gen_random_uuid(), 'predict', 7)",
            "SELECT nextval('procrastinate_jobs_id_seq')",
        )
    with migrated_databases.one() as second:
        assert second != first
        assert content(second) == new


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE users ADD CONSTRAINT spoiled CHECK (length(email) > 3) NOT VALID",
        "ALTER TABLE users ADD COLUMN spoiled integer",
        "ALTER TABLE sessions RENAME TO spoiled",
        "ALTER TABLE sessions DISABLE TRIGGER ALL",
        "CREATE TABLE spoiled (id integer)",
        "DROP TABLE charges",
        "CREATE FUNCTION spoiled() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION procrastinate_notify_queue_job_inserted_v1 RENAME TO spoiled",
    ],
)
def test_one_whose_tables_were_changed_is_thrown_away(
    migrated_databases: MigratedDatabases, postgres_server: str, change: str
) -> None:
    with migrated_databases.one() as spoiled:
        ((number,),) = ask(spoiled, "SELECT oid FROM pg_database WHERE datname = current_database()")
        ask(spoiled, change)
    assert ask(postgres_server, f"SELECT datname FROM pg_database WHERE oid = {number}") == []


def test_one_that_was_only_used_is_used_again(migrated_databases: MigratedDatabases, postgres_server: str) -> None:
    with migrated_databases.one() as used:
        ((number,),) = ask(used, "SELECT oid FROM pg_database WHERE datname = current_database()")
        ask(used, SPOIL, "ANALYZE", "VACUUM users")
    assert len(ask(postgres_server, f"SELECT datname FROM pg_database WHERE oid = {number}")) == 1
