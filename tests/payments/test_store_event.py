"""Storing events: together what arrives together, each once, and with its job."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from database.base import uuid7
from database.engine import EngineOptions, writer_connection
from payments.inbox.store import STORE, ArrivedEvent, EventWriter, event_writer, store_event, write_events
from payments.subscriptions.status import Provider
from sandbox.postgres import EmbeddedPostgres
from security.edge.problems import DependencyUnavailable

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def event(external_id: str, provider: Provider = Provider.STRIPE, body: bytes = b"{}") -> ArrivedEvent:
    until = NOON + timedelta(minutes=5)
    return ArrivedEvent(uuid7(), provider, external_id, "test", None, body, NOON, until)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with closing(writer_connection(database_url, EngineOptions())()) as opened:
        opened.autocommit = True
        STORE.prepare(opened)
        yield opened


@pytest.fixture
def writer(database_url: str) -> Iterator[EventWriter]:
    made = event_writer(writer_connection(database_url, EngineOptions()))
    yield made
    made.close()


def rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_what_arrives_together_is_stored_as_it_came_each_with_its_job(connection: Connection) -> None:
    first, second = event("evt_1", body=b"\x00'\\ one"), event("evt_2", body=b'{"\xc3\xa9": 2}')
    assert write_events(connection, [first, second]) == [True, True]

    stored = rows(connection, "SELECT id, body, received_at, next_attempt_at FROM billing_events ORDER BY external_id")
    assert [(str(row[0]), bytes(row[1]), *row[2:]) for row in stored] == [  # type: ignore[call-overload]
        (str(each.id), each.body, each.received_at, each.claimed_until) for each in (first, second)
    ]
    jobs = rows(connection, "SELECT task_name, queue_name, args->>'event_id' FROM procrastinate_jobs ORDER BY id")
    assert jobs == [("apply_billing_event", "default", str(each.id)) for each in (first, second)]


def test_of_the_same_event_twice_at_once_the_first_is_new(connection: Connection) -> None:
    assert write_events(connection, [event("evt_1"), event("evt_1")]) == [True, False]
    assert rows(connection, "SELECT count(*) FROM procrastinate_jobs") == [(1,)]


def test_a_known_event_beside_a_new_one_gets_no_second_job(connection: Connection) -> None:
    write_events(connection, [event("evt_1")])
    assert write_events(connection, [event("evt_1"), event("evt_2")]) == [False, True]
    assert rows(connection, "SELECT count(*) FROM procrastinate_jobs") == [(2,)]


def test_two_providers_may_use_the_same_id(connection: Connection) -> None:
    assert write_events(connection, [event("1"), event("1", Provider.APPLE)]) == [True, True]


def test_a_connection_that_was_lost_while_it_idled_costs_no_event(writer: EventWriter, database_url: str) -> None:
    assert store_event(writer, event("evt_1"))
    with closing(psycopg2.connect(database_url)) as other:
        ended = rows(
            other, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'mirroros'"
        )
    assert ended == [(True,)]
    assert store_event(writer, event("evt_2"))


def test_while_postgres_is_away_the_sender_is_asked_to_come_again(own_postgres: EmbeddedPostgres) -> None:
    writer = event_writer(writer_connection(own_postgres.url(), EngineOptions()))
    own_postgres.stop()
    with pytest.raises(DependencyUnavailable):
        store_event(writer, event("evt_1"))
