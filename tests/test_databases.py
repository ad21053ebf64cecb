"""The databases of tests: one that was used before is as good as new."""

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


def test_one_whose_tables_were_changed_is_thrown_away(migrated_databases: MigratedDatabases) -> None:
    with migrated_databases.one() as spoiled:
        ask(spoiled, "ALTER TABLE users ADD CONSTRAINT spoiled CHECK (length(email) > 3) NOT VALID")
    constraints = "SELECT count(*) FROM pg_constraint WHERE conname = 'ck_users_spoiled' OR conname = 'spoiled'"
    with migrated_databases.one() as one, migrated_databases.one() as other:
        assert ask(one, constraints) == ask(other, constraints) == [(0,)]
