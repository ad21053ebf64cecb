"""Callers of these tests are made up on the spot; the log of calls wants users who exist."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.databases import MigratedDatabases, ask

REGISTER_WHO_CALLS = """
CREATE FUNCTION register_who_calls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO users (id, email, email_key, created_at, updated_at)
    VALUES (NEW.user_id, NEW.user_id, NEW.user_id, now(), now()) ON CONFLICT DO NOTHING;
    RETURN NEW;
END $$;
CREATE TRIGGER register_who_calls BEFORE INSERT ON request_logs FOR EACH ROW EXECUTE FUNCTION register_who_calls();
"""


def register_who_calls(url: str) -> None:
    """From now on, in a database of the test's own."""
    ask(url, REGISTER_WHO_CALLS)


@pytest.fixture(scope="session")
def databases_of_callers(postgres_server: str, migrated_template: str) -> Iterator[MigratedDatabases]:
    """In these, whoever makes a call has an account."""
    with closing(MigratedDatabases(postgres_server, migrated_template, REGISTER_WHO_CALLS)) as databases:
        yield databases


@pytest.fixture
def database_url(databases_of_callers: MigratedDatabases) -> Iterator[str]:
    with databases_of_callers.kept() as url:
        yield url
