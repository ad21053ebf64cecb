"""Migrated databases for tests. Making one costs 50 ms and emptying one 5 ms, and there are thousands of tests."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2.extras import Json

# Everything that a test could change for good by an ALTER, a CREATE or a DROP.
SHAPE = """
    SELECT md5(string_agg(line, '|' ORDER BY line)) FROM (
        SELECT format('%s %s %s %s', relname, relkind, relnatts, relhastriggers) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT format('%s %s %s', attrelid::regclass, attname, atttypid) FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0
        UNION ALL SELECT pg_get_constraintdef(oid) || conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT proname || md5(prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT tgname || tgenabled::text FROM pg_trigger
    ) AS shape (line)
"""
TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
FIRST_NUMBERS = """
    SELECT format('ALTER SEQUENCE %I RESTART', sequencename) FROM pg_sequences
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


class MigratedDatabases:
    """Copies of one template. One that was used is emptied and used again under another name, so that whatever an earlier
    test left running cannot reach it; one whose tables were changed is thrown away.
    """

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url = server_url
        self._template = template
        self._free: list[str] = []
        url = self.url(template)
        (self._shape,) = ask(url, SHAPE)
        self._tables = [name for (name,) in ask(url, TABLES)]
        self._first_rows = {name: ask(url, f'SELECT json_agg(t) FROM "{name}" AS t')[0][0] for name in self._tables}

    def url(self, name: str) -> str:
        return f"{self._server_url.rpartition('/')[0]}/{name}"

    @contextmanager
    def one(self) -> Iterator[str]:
        """The URL of a database as the migrations leave it."""
        name = f"test_{secrets.token_hex(6)}"
        if self._free:
            ask(self._server_url, f'ALTER DATABASE "{self._free.pop()}" RENAME TO "{name}"')
        else:
            ask(self._server_url, f'CREATE DATABASE "{name}" TEMPLATE "{self._template}" STRATEGY wal_log')
        yield self.url(name)
        if self._emptied(name):
            self._free.append(name)
        else:
            ask(self._server_url, f'DROP DATABASE "{name}" WITH (FORCE)')

    def _emptied(self, name: str) -> bool:
        """Also ends every other connection, as dropping the database would."""
        try:
            with closing(psycopg2.connect(self.url(name))) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    return self._empty(cursor)
        except psycopg2.Error:
            return False

    def _empty(self, cursor: Any) -> bool:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        cursor.execute(SHAPE)
        if cursor.fetchone() != self._shape:
            return False
        cursor.execute("SET session_replication_role = replica")  # foreign keys and triggers look away
        cursor.execute("; ".join(f'DELETE FROM "{table}"' for table in self._tables))
        for table, rows in self._first_rows.items():
            if rows is not None:
                fill = f'INSERT INTO "{table}" SELECT * FROM json_populate_recordset(NULL::"{table}", %s)'
                cursor.execute(fill, (Json(rows),))
        cursor.execute(FIRST_NUMBERS)
        for (restart,) in cursor.fetchall():
            cursor.execute(restart)
        return True
