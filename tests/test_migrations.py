"""The migrations: one line of numbered steps, each reversible, ending in what the models say."""

import re
import secrets
import socket
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import event, inspect, text

from app import assemble  # noqa: F401 - it knows every model, and their tables are compared
from database import DIRECT, configure_database, db
from database.base import Base
from database.engine import EngineOptions
from database.schema import migration_settings
from tests.bare_app import bare_app
from tests.databases import ask


@pytest.fixture
def app(empty_database_url: str) -> Iterator[Flask]:
    app = bare_app(empty_database_url)
    with app.app_context():
        yield app
        db.engine.dispose()


def scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(migration_settings())


def test_the_migrations_are_numbered_in_one_line() -> None:
    revisions = [script.revision for script in scripts().walk_revisions()][::-1]
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert scripts().get_heads() == [revisions[-1]]
    files = sorted(Path(scripts().versions).glob("*.py"))
    assert [file.name[:4] for file in files] == revisions
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.py", file.name) for file in files)


def test_every_migration_goes_up_down_and_up_again(app: Flask) -> None:
    for script in reversed(list(scripts().walk_revisions())):
        upgrade(revision=script.revision)
        downgrade(revision="-1")
        upgrade(revision=script.revision)
    downgrade(revision="base")
    assert inspect(db.engine).get_table_names() == ["alembic_version"]
    with db.engine.connect() as connection:
        left = connection.execute(
            text(
                "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
                " UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'"
            )
        ).all()
    assert left == []
    upgrade()


OF_A_TABLE = re.compile(
    r'\s*(?:ALTER|DROP)\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?:public\.)?"?(\w+)', re.IGNORECASE
)
BREAKS = re.compile(
    r"^\s*DROP\s+TABLE|\bDROP\s+COLUMN|\bRENAME\b|\bALTER\s+(COLUMN\s+)?\S+\s+((SET\s+DATA\s+)?TYPE|SET\s+NOT\s+NULL)"
    r"|\bADD\s+COLUMN(?=[^,]*\bNOT\s+NULL)(?![^,]*\b(DEFAULT|GENERATED)\b)",
    re.IGNORECASE,
)


def breaking(sql: str, existing: Collection[str]) -> list[str]:
    """The statements after which the version that still runs would fail, on a table that it may use."""
    return [
        statement.strip()
        for statement in sql.split(";")
        if (table := OF_A_TABLE.match(statement)) and table[1] in existing and BREAKS.search(statement)
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE users",
        "ALTER TABLE users DROP COLUMN name",
        "ALTER TABLE users RENAME COLUMN name TO title",
        "ALTER TABLE IF EXISTS ONLY users ALTER COLUMN name TYPE varchar(3)",
        "ALTER TABLE users ALTER name SET NOT NULL",
        'ALTER TABLE "users" ADD COLUMN name text NOT NULL',
    ],
)
def test_what_breaks_the_running_version_is_found(statement: str) -> None:
    assert breaking(f"CREATE TABLE pets (id int); {statement};", {"users"}) == [statement]
    assert breaking(statement.replace("users", "pets"), {"users"}) == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE users ADD COLUMN name text",
        "ALTER TABLE users ADD COLUMN name text DEFAULT '' NOT NULL",
        "ALTER TABLE users ADD COLUMN number integer NOT NULL GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE users DROP CONSTRAINT old_rule",
        "ALTER TABLE users ALTER COLUMN name DROP NOT NULL",
    ],
)
def test_what_the_running_version_does_not_notice_is_let_through(statement: str) -> None:
    assert breaking(statement, {"users"}) == []


def test_the_version_that_runs_goes_on_beside_each_migration(app: Flask) -> None:
    """A migration that takes away what no running version uses any more says so: `SAFE_BECAUSE = "…"`."""
    sent: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
    for script in reversed(list(scripts().walk_revisions())):
        existing = inspect(db.engine).get_table_names()
        sent.clear()
        upgrade(revision=script.revision)
        found = [each for sql in sent for each in breaking(sql, existing)]
        assert not found or hasattr(script.module, "SAFE_BECAUSE"), found


def test_the_migrations_build_what_the_models_say(app: Flask) -> None:
    upgrade()
    with db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "include_object": ours}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_an_upgrade_that_has_nothing_to_do_changes_nothing(app: Flask) -> None:
    upgrade()
    before = inspect(db.engine).get_table_names()
    upgrade()
    assert inspect(db.engine).get_table_names() == before


def test_behind_pgbouncer_migrations_connect_directly(empty_database_url: str) -> None:
    app = Flask("pooled")
    with socket.socket() as held:  # nobody listens on it
        held.bind(("127.0.0.1", 0))
        pooled = f"postgresql://alice:none@127.0.0.1:{held.getsockname()[1]}/x"
        configure_database(app, pooled, EngineOptions(pooled=True), direct_url=empty_database_url)
        with app.app_context():
            upgrade()
            db.engines[DIRECT].dispose()
    assert ask(empty_database_url, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_a_user_who_may_not_create_tables_is_told_so(
    empty_database_url: str, postgres_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    role = f"reader_{secrets.token_hex(4)}"
    ask(postgres_server, f"CREATE ROLE {role} LOGIN PASSWORD 'none'")
    try:
        address = empty_database_url.rpartition("@")[2]
        app = bare_app(f"postgresql://{role}:none@{address}")
        with app.app_context(), pytest.raises(SystemExit):
            upgrade()
        assert "Error: PostgreSQL (DATABASE_URL): permission denied for schema public" in caplog.messages
        with app.app_context():
            db.engine.dispose()
    finally:
        ask(postgres_server, f"DROP ROLE {role}")


def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    return not (kind == "table" and (name or "").startswith("procrastinate_"))
