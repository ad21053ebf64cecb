"""Group commit: one transaction for many, an answer only after the commit, one bad item fails alone."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extras import execute_values

from database import group_commit
from database.engine import EngineOptions, writer_connection
from database.group_commit import GroupCommit
from database.shared_trips import TripNotBegun, TripNotCompleted
from sandbox.postgres import EmbeddedPostgres

Writer = GroupCommit[int, int]


class Table:
    """A table of numbers above zero, and a writer that remembers its batches."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.batches: list[int] = []
        self.before_write = threading.Event()
        self.before_write.set()
        self.writing = threading.Event()
        self.run("CREATE TABLE numbers (number integer PRIMARY KEY CHECK (number > 0))")
        self.writer: Writer = GroupCommit(writer_connection(url, EngineOptions()), self.write)

    def write(self, connection: Connection, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(len(items))
        self.writing.set()
        assert self.before_write.wait(10)
        with connection.cursor() as cursor:
            execute_values(cursor, "INSERT INTO numbers VALUES %s ON CONFLICT DO NOTHING", [(item,) for item in items])
        return [item * 2 for item in items]

    def run(self, statement: str) -> list[tuple[int]]:
        connection = psycopg2.connect(self.url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def numbers(self) -> list[int]:
        return [number for (number,) in self.run("SELECT number FROM numbers ORDER BY number")]


@pytest.fixture
def table(database_url: str) -> Iterator[Table]:
    found = Table(database_url)
    yield found
    found.writer.close()


def test_every_one_of_200_threads_gets_its_own_result_after_its_row_is_durable(table: Table) -> None:
    one_at_a_time = threading.Lock()  # the server takes fewer connections than there are threads

    def submit(number: int) -> bool:
        doubled = table.writer.submit(number)
        with one_at_a_time:
            return doubled == number * 2 and number in table.numbers()

    with ThreadPoolExecutor(200) as threads:
        assert all(threads.map(submit, range(1, 201)))
    assert table.numbers() == list(range(1, 201))


def test_what_waits_while_one_writes_is_written_together(table: Table) -> None:
    table.before_write.clear()
    with ThreadPoolExecutor(11) as threads:
        first = threads.submit(table.writer.submit, 1)
        assert table.writing.wait(10)
        others = [threads.submit(table.writer.submit, number) for number in range(2, 12)]
        wait_until_in_line(table.writer, 10)
        table.before_write.set()
        assert [first.result(), *(other.result() for other in others)] == [number * 2 for number in range(1, 12)]
    assert table.batches == [1, 10]


def test_a_batch_is_never_larger_than_allowed(database_url: str) -> None:
    table = Table(database_url)
    table.writer = GroupCommit(writer_connection(database_url, EngineOptions()), table.write, largest_batch=4)
    table.before_write.clear()
    with ThreadPoolExecutor(11) as threads:
        results = [threads.submit(table.writer.submit, 1)]
        assert table.writing.wait(10)
        results += [threads.submit(table.writer.submit, number) for number in range(2, 12)]
        wait_until_in_line(table.writer, 10)
        table.before_write.set()
        assert sorted(result.result() for result in results) == [number * 2 for number in range(1, 12)]
    assert table.batches == [1, 4, 4, 2]
    table.writer.close()


def test_one_bad_item_fails_alone(table: Table) -> None:
    table.before_write.clear()
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(table.writer.submit, 1)
        assert table.writing.wait(10)
        others = {number: threads.submit(table.writer.submit, number) for number in (2, 3, -4, 5)}
        wait_until_in_line(table.writer, 4)
        table.before_write.set()
        with pytest.raises(psycopg2.errors.CheckViolation):
            others.pop(-4).result()
        assert [first.result(), *(other.result() for other in others.values())] == [2, 4, 6, 10]
    assert table.numbers() == [1, 2, 3, 5]


def test_a_lost_connection_is_told_to_everybody_who_waited_and_the_next_one_opens_a_new_one(table: Table) -> None:
    table.writer.submit(1)
    table.before_write.clear()
    table.writing.clear()
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(table.writer.submit, 2)
        assert table.writing.wait(10)
        table.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mirroros'")
        table.before_write.set()
        with pytest.raises(TripNotCompleted):
            first.result()
    assert table.writer.submit(3) == 6
    assert table.numbers() == [1, 3]


def test_a_server_that_is_gone_is_told_and_one_that_is_back_is_used(own_postgres: EmbeddedPostgres) -> None:
    table = Table(own_postgres.url())
    own_postgres.stop()
    with pytest.raises(TripNotBegun):
        table.writer.submit(1)
    own_postgres.start()
    assert table.writer.submit(1) == 2
    assert table.numbers() == [1]
    table.writer.close()


def test_a_writer_that_breaks_leaves_nobody_waiting(table: Table) -> None:
    def breaks(_connection: Connection, _items: Sequence[int]) -> Sequence[int]:
        table.writing.set()
        assert table.before_write.wait(10)
        raise ZeroDivisionError

    writer: Writer = GroupCommit(writer_connection(table.url, EngineOptions()), breaks)
    table.before_write.clear()
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(writer.submit, 1)
        assert table.writing.wait(10)
        second = threads.submit(writer.submit, 2)
        wait_until_in_line(writer, 1)
        table.before_write.set()
        for result in (first, second):
            with pytest.raises(ZeroDivisionError):
                result.result()
    writer.close()


def test_who_waits_too_long_for_the_writer_is_told_so_and_its_item_is_not_written(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "LONGEST_WAIT_SECONDS", 0.05)
    table.before_write.clear()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(table.writer.submit, 1)
        assert table.writing.wait(10)
        with pytest.raises(TripNotBegun):
            table.writer.submit(2)
        table.before_write.set()
        assert first.result() == 2
    assert table.writer.submit(3) == 6
    assert table.numbers() == [1, 3]


class PreparedTable(Table):
    """Writes by a prepared statement, as the real writers do."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.writer = GroupCommit(writer_connection(url, EngineOptions()), self.write, prepare=self.prepare)

    def prepare(self, connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("PREPARE store (integer[]) AS INSERT INTO numbers SELECT unnest($1) RETURNING *")

    def write(self, connection: Connection, items: Sequence[int]) -> Sequence[int]:
        with connection.cursor() as cursor:
            cursor.execute("EXECUTE store (%s)", (list(items),))
            return [row[0] for row in cursor.fetchall()]

    def sessions(self) -> list[tuple[int]]:
        return self.run("SELECT pid FROM pg_stat_activity WHERE application_name = 'mirroros' ORDER BY pid")


@pytest.fixture
def prepared(database_url: str) -> Iterator[PreparedTable]:
    found = PreparedTable(database_url)
    yield found
    found.writer.close()


def test_a_schema_that_changed_under_a_prepared_statement_fails_nobody(prepared: PreparedTable) -> None:
    prepared.writer.submit(1)
    prepared.run("ALTER TABLE numbers ALTER COLUMN number TYPE bigint")
    assert prepared.writer.submit(2) == 2


def test_a_session_that_lost_its_prepared_statement_is_given_up(prepared: PreparedTable) -> None:
    prepared.writer.submit(1)
    connection = prepared.writer._connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")  # as a pooler does when it gives another session
    with pytest.raises(TripNotCompleted):
        prepared.writer.submit(2)
    assert prepared.writer.submit(2) == 2


def test_a_bad_item_does_not_cost_a_connection(prepared: PreparedTable) -> None:
    prepared.writer.submit(1)
    before = prepared.sessions()
    with pytest.raises(psycopg2.errors.CheckViolation):
        prepared.writer.submit(-1)
    assert prepared.sessions() == before


def test_a_statement_that_cannot_be_prepared_leaves_no_connection_behind(prepared: PreparedTable) -> None:
    prepared.run("ALTER TABLE numbers RENAME TO numbers_of_before")
    with pytest.raises(TripNotBegun):
        prepared.writer.submit(1)
    assert prepared.sessions() == []
    prepared.run("ALTER TABLE numbers_of_before RENAME TO numbers")
    assert prepared.writer.submit(1) == 1


def test_who_may_wait_only_for_a_moment_is_back_while_the_trip_is_under_way(table: Table) -> None:
    table.before_write.clear()
    with pytest.raises(TripNotCompleted) as leading:
        table.writer.submit_within(1, 0.05)
    assert table.writing.wait(10)
    with pytest.raises(TripNotBegun):
        table.writer.submit_within(2, 0.05)
    with ThreadPoolExecutor(1) as threads:
        patient = threads.submit(table.writer.submit, 3)
        wait_until_in_line(table.writer, 1)
        table.before_write.set()
        assert patient.result() == 6
    assert not isinstance(leading.value, TripNotBegun)
    assert table.numbers() == [1, 3]


def test_who_waits_for_a_moment_and_is_next_to_lead_is_served(table: Table) -> None:
    table.before_write.clear()
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(table.writer.submit, 1)
        assert table.writing.wait(10)
        others = [threads.submit(table.writer.submit_within, number, 10) for number in (2, 3)]
        wait_until_in_line(table.writer, 2)
        table.before_write.set()
        assert [first.result(), *(other.result() for other in others)] == [2, 4, 6]
    assert table.writer.submit_within(4, 10) == 8
    assert table.numbers() == [1, 2, 3, 4]


def test_200_threads_that_wait_for_a_moment_are_all_served(table: Table) -> None:
    with ThreadPoolExecutor(200) as threads:
        results = threads.map(lambda number: table.writer.submit_within(number, 30), range(1, 201))
        assert list(results) == [number * 2 for number in range(1, 201)]
    assert table.numbers() == list(range(1, 201))


def wait_until_in_line(writer: Writer, many: int) -> None:
    with writer._trips._lock:
        waiting = len(writer._trips._waiting)
    gate = threading.Event()
    for _ in range(1000):
        if waiting == many:
            return
        gate.wait(0.005)
        with writer._trips._lock:
            waiting = len(writer._trips._waiting)
    raise AssertionError(f"{waiting} wait, not {many}")
