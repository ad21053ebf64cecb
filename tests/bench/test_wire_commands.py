"""What is counted on the wire is what was sent."""

import struct

import pytest

from bench.round_trips import Trips
from bench.wire_commands import PostgresStatements, RedisCommands, statements

STARTUP = struct.pack("!II", 8, 0x0003_0000)
TLS_REQUEST = struct.pack("!II", 8, 80877103)


def query(sql: str) -> bytes:
    return b"Q" + struct.pack("!I", len(sql) + 5) + sql.encode() + b"\0"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("BEGIN", ["BEGIN"]),
        ("BEGIN; COMMIT", ["BEGIN", "COMMIT"]),
        ("INSERT INTO predictions (id) VALUES ('from users; x')", ["INSERT predictions"]),
        ("SELECT u.id FROM users AS u JOIN sessions s ON true", ["SELECT users + SELECT sessions"]),
        ("SELECT 1 FROM jobs FOR UPDATE SKIP LOCKED", ["SELECT jobs"]),
        (
            "WITH kept AS (INSERT INTO log (id) SELECT * FROM unnest(%s) ON CONFLICT DO NOTHING RETURNING id) "
            "INSERT INTO counters AS c (n) SELECT 1 FROM kept ON CONFLICT (n) DO UPDATE SET n = c.n + 1",
            ["INSERT log + INSERT counters"],
        ),
        ("UPDATE users SET a = 1 WHERE b IS DISTINCT FROM c", ["UPDATE users"]),
    ],
)
def test_a_statement_is_named_by_what_it_does_to_which_tables(sql: str, expected: list[str]) -> None:
    assert statements(sql) == expected


def test_postgres_messages_are_read_across_pieces_after_the_start_of_the_session() -> None:
    reader = PostgresStatements()
    sent = TLS_REQUEST + STARTUP + query("BEGIN") + query("SELECT 1 FROM users") + query("COMMIT")
    names: list[str] = []
    rest = b""
    for number in range(len(sent)):
        found, rest = reader(rest + sent[number : number + 1])
        names += found
    assert names == ["BEGIN", "SELECT users", "COMMIT"]
    assert rest == b""


def test_a_pipeline_is_read_as_its_commands() -> None:
    ping, get = b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$3\r\nget\r\n$5\r\na\r\nbc\r\n"
    assert RedisCommands()(ping + get + ping[:-1]) == (["PING", "GET"], ping[:-1])


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ((), 0),
        (("INSERT a",), 1),
        (("BEGIN", "INSERT a", "INSERT b", "COMMIT"), 1),
        (("BEGIN", "SELECT a", "ROLLBACK", "INSERT b"), 2),
    ],
)
def test_transactions_are_counted(sent: tuple[str, ...], expected: int) -> None:
    assert Trips(0, (), 0, sent).transactions == expected
