"""The settle transaction: counted once however often it is written, exact counts within one batch."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from gateway.settle import SettledCall, prepare_settle, write_calls
from tests.gateway.known_users import register_who_calls

TODAY = date(2026, 11, 23)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    register_who_calls(database_url)
    opened = psycopg2.connect(database_url)
    opened.autocommit = True
    prepare_settle(opened)
    yield opened
    opened.close()


def a_call(user: uuid.UUID, **changes: object) -> SettledCall:
    call = SettledCall(
        request_id=uuid.uuid4(),
        user_id=user,
        feature="predict",
        tier="free",
        window_date=TODAY,
        request_data_hash="0" * 64,
        status=200,
        error_code=None,
        response_time_ms=5,
        upstream_ms=4,
        held=None,
        key=None,
        answer=None,
    )
    return replace(call, **changes)  # type: ignore[arg-type]


def test_two_calls_of_one_user_in_one_batch_get_counts_of_their_own(connection: Connection) -> None:
    alice, bob = uuid.uuid4(), uuid.uuid4()
    calls = [a_call(alice), a_call(bob), a_call(alice), a_call(alice, error_code="timeout", status=504), a_call(alice)]
    assert write_calls(connection, calls) == [1, 1, 2, None, 3]
    assert write_calls(connection, [a_call(alice), a_call(bob)]) == [4, 2]


def test_a_call_that_is_written_again_is_not_counted_again(connection: Connection) -> None:
    alice = uuid.uuid4()
    call = a_call(alice)
    assert write_calls(connection, [call]) == [1]
    assert write_calls(connection, [call, a_call(alice)]) == [2, 2]
    assert write_calls(connection, [call]) == [2]


def test_a_failed_call_that_succeeds_later_under_the_same_id_is_counted_then(connection: Connection) -> None:
    failed = a_call(uuid.uuid4(), error_code="timeout", status=504)
    assert write_calls(connection, [failed]) == [None]
    assert write_calls(connection, [replace(failed, error_code=None, status=200)]) == [1]
    assert write_calls(connection, [failed]) == [None]
    with connection.cursor() as cursor:
        cursor.execute("SELECT success, error_code, status FROM prediction_requests")
        assert cursor.fetchall() == [(True, None, 200)]


def test_failures_that_reached_the_private_server_are_counted_by_the_hour(connection: Connection) -> None:
    alice, bob = uuid.uuid4(), uuid.uuid4()
    failed = a_call(alice, error_code="timeout", status=504, hour="2026-11-23T17", failed=1)
    again = replace(failed, request_id=uuid.uuid4(), failed=2)
    later = replace(failed, request_id=uuid.uuid4(), hour="2026-11-23T18")
    unreached = a_call(alice, error_code="connect_failed", status=503)
    calls = [failed, a_call(bob), a_call(alice), unreached, later]
    assert write_calls(connection, calls) == [1, 1, 1, None, 1]
    assert write_calls(connection, [again]) == [3]
    assert write_calls(connection, [failed]) == [4], "asked again under the same id"
    assert write_calls(connection, [replace(failed, error_code=None, status=200, failed=0)]) == [2]


def test_days_are_counted_apart(connection: Connection) -> None:
    alice = uuid.uuid4()
    calls = [a_call(alice), a_call(alice, window_date=date(2026, 11, 24))]
    assert write_calls(connection, calls) == [1, 1]


def test_the_reservation_goes_in_the_same_transaction(connection: Connection) -> None:
    reserved = uuid.uuid4()
    calls = [a_call(uuid.uuid4(), request_id=reserved, held=reserved), a_call(uuid.uuid4())]
    with connection.cursor() as cursor:
        for call in calls:
            cursor.execute(
                "INSERT INTO usage_reservations VALUES (%s, %s, 'predict', %s, now() + interval '1 minute', now())",
                (str(call.request_id), str(call.user_id), TODAY),
            )
        write_calls(connection, calls)
        cursor.execute("SELECT request_id::text FROM usage_reservations")
        assert cursor.fetchall() == [(str(calls[1].request_id),)]
