"""Migrated databases for tests. Making one costs a quarter of a second and emptying one 4 ms, and there are thousands of tests."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - it is a class
from psycopg2.extras import Json

from tests.bare_app import KeptEngine, kept_engines

# Everything that a test could change for good by an ALTER, a CREATE or a DROP. Such a statement writes a new row of the
# catalogue under its own transaction's number, or takes rows away. Objects of PostgreSQL itself have ids below 16384.
SHAPE = """
    SELECT count(*), max(number) FROM (
        SELECT xmin::text::bigint FROM pg_class WHERE oid >= 16384
        UNION ALL SELECT xmin::text::bigint FROM pg_attribute WHERE attrelid >= 16384
        UNION ALL SELECT xmin::text::bigint FROM pg_constraint WHERE oid >= 16384
        UNION ALL SELECT xmin::text::bigint FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT xmin::text::bigint FROM pg_trigger WHERE oid >= 16384
    ) AS rows (number)
"""
TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
FIRST_NUMBERS = """
    SELECT setval(format('%I', sequencename)::regclass, start_value, false) FROM pg_sequences
    WHERE schemaname = 'public' AND last_value IS NOT NULL
"""


def ask(url: str, *statements: str) -> list[Any]:
    """The rows of the last statement. Each one is its own transaction."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []


@dataclass(frozen=True)
class Kept:
    url: str
    engine: KeptEngine
    cursor: Cursor
    """Of our own connection, which stays open."""


class MigratedDatabases:
    """Copies of one template, with an `addition` of statements.

    A test has `one` that was emptied, under a new name, so that whatever an earlier test left running cannot reach it. Tests
    that leave nothing running have the `kept` one, to which the applications stay connected. One whose tables were changed is
    thrown away.
    """

    def __init__(self, server_url: str, template: str, addition: str = "") -> None:
        self._server_url = server_url
        self._template = template
        self._addition = addition
        self._free: list[str] = []
        self._shapes: dict[str, Any] = {}
        self._kept: Kept | None = None
        self._first_rows: dict[str, Any] = {}
        """Of every table."""

    def url(self, name: str) -> str:
        return f"{self._server_url.rpartition('/')[0]}/{name}"

    @contextmanager
    def one(self) -> Iterator[str]:
        """The URL of a database as the migrations leave it."""
        name = new_name()
        if self._free:
            free = self._free.pop()
            ask(self._server_url, f'ALTER DATABASE "{free}" RENAME TO "{name}"')
            self._shapes[name] = self._shapes.pop(free)
        else:
            self._create(name)
        yield self.url(name)
        if self._emptied(name):
            self._free.append(name)
        else:
            self._drop(name)

    @contextmanager
    def kept(self) -> Iterator[str]:
        """The same one each time. `bare_app` makes applications that share an engine for it."""
        kept = self._kept or self._keep()
        name = kept.url.rpartition("/")[2]
        yield kept.url
        kept.engine.rest()
        try:
            self._kept = kept if self._empty(name, kept.cursor, tuple(kept.engine.backends)) else None
        except psycopg2.Error:
            self._kept = None
        if self._kept is None:
            self._give_up(kept)

    def close(self) -> None:
        if self._kept is not None:
            self._give_up(self._kept)

    def _give_up(self, kept: Kept) -> None:
        del kept_engines[kept.url]
        kept.engine.dispose()
        kept.cursor.connection.close()
        self._drop(kept.url.rpartition("/")[2])

    def _keep(self) -> Kept:
        name = new_name()
        self._create(name)
        connection = psycopg2.connect(self.url(name))
        connection.autocommit = True
        cursor = connection.cursor()
        self._prepare(cursor)
        kept_engines[self.url(name)] = KeptEngine()
        return Kept(self.url(name), kept_engines[self.url(name)], cursor)

    def _create(self, name: str) -> None:
        ask(self._server_url, f'CREATE DATABASE "{name}" TEMPLATE "{self._template}" STRATEGY wal_log')
        if self._addition:
            ask(self.url(name), self._addition)
        self._shapes[name] = ask(self.url(name), SHAPE)
        if not self._first_rows:
            for (table,) in ask(self.url(name), TABLES):
                self._first_rows[table] = ask(self.url(name), f'SELECT json_agg(t) FROM "{table}" AS t')[0][0]

    def _drop(self, name: str) -> None:
        ask(self._server_url, f'DROP DATABASE "{name}" WITH (FORCE)')

    def _emptied(self, name: str) -> bool:
        try:
            with closing(psycopg2.connect(self.url(name))) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    self._prepare(cursor)
                    return self._empty(name, cursor)
        except psycopg2.Error:
            return False

    def _prepare(self, cursor: Cursor) -> None:
        """Emptying is planned once for a connection: the planning costs more than the work."""
        cursor.execute(f"PREPARE shape AS {SHAPE}")
        deleted = (f'"{table}" AS (DELETE FROM "{table}")' for table in self._first_rows)
        cursor.execute(f"PREPARE empty AS WITH {', '.join(deleted)} SELECT")
        cursor.execute(f"PREPARE first_numbers AS {FIRST_NUMBERS}")

    def _empty(self, name: str, cursor: Cursor, spared: tuple[int, ...] = ()) -> bool:
        """Also ends every other connection, as dropping the database would, unless it is `spared` and idle."""
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND (state, pid) NOT IN %s",
            (tuple(("idle", pid) for pid in (0, *spared)),),
        )
        cursor.execute("EXECUTE shape")
        if cursor.fetchall() != self._shapes[name]:
            return False
        # Foreign keys and triggers look away.
        cursor.execute("SET session_replication_role = replica; EXECUTE empty; EXECUTE first_numbers")
        for table, rows in self._first_rows.items():
            if rows is not None:
                fill = f'INSERT INTO "{table}" SELECT * FROM json_populate_recordset(NULL::"{table}", %s)'
                cursor.execute(fill, (Json(rows),))
        return True


def new_name() -> str:
    return f"test_{secrets.token_hex(6)}"
