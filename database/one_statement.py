"""One statement, or a few sent together, in a transaction of their own and in one round trip.

For what every metered call asks: SQLAlchemy's session costs several times as much as the statement.
"""

from contextlib import suppress
from typing import Any

import psycopg2
from sqlalchemy import Engine


def rows_of(engine: Engine, statement: str, parameters: object) -> list[tuple[Any, ...]]:
    """The rows of the last statement. It must be one that may be repeated: a pooled connection that died with a restart of the
    server is replaced.

    Raises psycopg2.Error, and SQLAlchemyError when the pool has no connection.
    """
    attempts: int = engine.pool.size() + 1  # type: ignore[attr-defined]
    while True:
        pooled = engine.raw_connection()
        connection: Any = pooled.dbapi_connection
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
                return rows
        except psycopg2.Error as error:
            attempts -= 1
            if not connection.closed or not attempts:
                raise
            pooled.invalidate(error)
        finally:
            if pooled.is_valid:
                with suppress(psycopg2.Error):
                    connection.autocommit = False
            pooled.close()
