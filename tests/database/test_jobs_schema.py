"""Our migrations build what the installed procrastinate expects."""

from importlib.resources import files

import psycopg2

CATALOGUE = """
    SELECT 'column', table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name LIKE 'procrastinate%'
    UNION SELECT 'function', oid::regprocedure || md5(prosrc) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'procrastinate%'
    UNION SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename LIKE 'procrastinate%'
    UNION SELECT 'enum', enumtypid::regtype || ' ' || string_agg(enumlabel, ', ' ORDER BY enumsortorder)
    FROM pg_enum GROUP BY enumtypid
"""


def catalogue(url: str) -> set[tuple[str, str]]:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(CATALOGUE)
            return set(cursor.fetchall())
    finally:
        connection.close()


def build(url: str, statements: str) -> None:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statements)
    finally:
        connection.close()


def test_the_migrations_build_the_schema_of_the_installed_procrastinate(
    database_url: str, empty_database_url: str
) -> None:
    build(empty_database_url, (files("procrastinate") / "sql" / "schema.sql").read_text())

    expected = catalogue(empty_database_url)
    assert {kind for kind, _ in expected} == {"column", "function", "trigger", "index", "enum"}
    assert {row for row in catalogue(database_url) if "procrastinate" in row[1]} == expected
