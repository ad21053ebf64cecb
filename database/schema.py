"""The state of the database's schema, and the release step that brings it up to date."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
from alembic.config import Config
from alembic.script import ScriptDirectory
from flask.cli import ScriptInfo
from flask_migrate import upgrade
from sqlalchemy import text

from database import reading
from database.engine import libpq_url

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
CONNECT_SECONDS = 2  # libpq's smallest
LIMIT = "SET LOCAL statement_timeout = '2s'"
"""A statement, for PgBouncer takes no options of a session."""


class SchemaNotCurrent(Exception):
    """The database lacks migrations that this code needs: run `flask db upgrade`."""


def initialize_production_database() -> str:
    """Run every migration that the configured database lacks, and return its revision. Safe to repeat. The views of analytics come
    with them.

    The application is found as the `flask` command finds it (`FLASK_APP`, else app.py), so that both read the same
    settings and refuse the same mistakes.
    """
    with ScriptInfo().load_app().app_context():
        upgrade(directory=str(MIGRATIONS))
        with reading() as session:
            revision: str = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    print(f"The database is at revision {revision}.")  # noqa: T201 - the source document runs this from a shell
    return revision


def schema_check(database_url: str) -> Callable[[], None]:
    """A health check that connects anew and reads the schema's revision.

    It raises SchemaNotCurrent, or psycopg2's error. A revision that this code does not know is a newer one: while a
    release rolls out, the old processes go on working beside the new schema.
    """
    scripts = ScriptDirectory.from_config(migration_settings())
    known, head = {script.revision for script in scripts.walk_revisions()}, scripts.get_current_head()
    url = libpq_url(database_url)

    def check() -> None:
        connection = psycopg2.connect(url, connect_timeout=CONNECT_SECONDS)
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(LIMIT)
            try:
                cursor.execute("SELECT version_num FROM alembic_version")
            except psycopg2.errors.UndefinedTable:
                raise SchemaNotCurrent from None
            row = cursor.fetchone()
        if row is None or (row[0] != head and row[0] in known):
            raise SchemaNotCurrent

    return check


def migration_settings() -> Config:
    settings = Config(str(MIGRATIONS / "alembic.ini"))
    settings.set_main_option("script_location", str(MIGRATIONS))
    return settings
