"""What stands in a test's database."""

from contextlib import closing
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

Row = dict[str, Any]


def read(database_url: str, statement: str, *parameters: object) -> list[Row]:
    with (
        closing(psycopg2.connect(database_url, cursor_factory=RealDictCursor)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, parameters)
        return [dict(row) for row in cursor.fetchall()]
