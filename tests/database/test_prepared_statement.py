"""A statement is prepared where the connection can keep it, and gives the same result where it cannot."""

from contextlib import closing

import pytest

from database.engine import EngineOptions, writer_connection
from database.prepared_statement import PreparedStatement

TIMES = PreparedStatement("times", ["text", "integer[]"], "SELECT $1, sum(each) FROM unnest($2) AS each GROUP BY $1")
"""It names a parameter twice, and one of its values looks like another parameter."""


@pytest.mark.parametrize("pooled, prepared", [(False, [("times",)]), (True, [])], ids=["own session", "pooled"])
def test_the_result_is_the_same(kept_database_url: str, pooled: bool, prepared: list[tuple[str]]) -> None:
    with (
        closing(writer_connection(kept_database_url, EngineOptions(pooled=pooled))()) as connection,
        connection.cursor() as cursor,
    ):
        TIMES.prepare(connection)
        for _ in range(2):
            TIMES.execute(cursor, "$2 and 100%s", [1, 2])
            assert cursor.fetchall() == [("$2 and 100%s", 3)]
        cursor.execute("SELECT name FROM pg_prepared_statements")
        assert cursor.fetchall() == prepared


@pytest.mark.parametrize("pooled, timeout", [(False, "5s"), (True, "0")], ids=["own session", "pooled"])
def test_only_an_own_session_is_given_time_limits(kept_database_url: str, pooled: bool, timeout: str) -> None:
    with (
        closing(writer_connection(kept_database_url, EngineOptions(pooled=pooled))()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchall() == [(timeout,)]
