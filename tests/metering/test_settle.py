"""The settling statement: counted once however often it is written, exact counts within one batch, never beyond a limit."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

import psycopg2
import pytest
from psycopg2.errors import CheckViolation, RestrictViolation
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from metering.settle import FENCE, SETTLE, Outcome, SettledCall, Spent, write_calls

TODAY = date(2026, 11, 23)
CALL = Spent(counter="predict", unit="call", window="2026-11-23", amount=1, allowed=None)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    opened = psycopg2.connect(database_url)
    opened.autocommit = True
    SETTLE.prepare(opened)
    yield opened
    opened.close()


def written(connection: Connection, calls: Sequence[SettledCall]) -> list[int | None]:
    return write_calls(connection, calls)


def a_call(user: uuid.UUID, **changes: object) -> SettledCall:
    call = SettledCall(
        request_id=uuid.uuid4(),
        user_id=user,
        feature="predict",
        tier="free",
        window_date=TODAY,
        request_data_hash="0" * 64,
        outcome=Outcome.DELIVERED,
        status=200,
        error_code=None,
        response_time_ms=5,
        upstream_ms=4,
        spent=(CALL,),
    )
    return replace(call, **changes)  # type: ignore[arg-type]


def a_failure(user: uuid.UUID, **changes: object) -> SettledCall:
    return a_call(user, outcome=Outcome.FAILED, error_code="timeout", status=504, spent=(), **changes)


def test_two_calls_of_one_user_in_one_batch_get_counts_of_their_own(connection: Connection) -> None:
    alice, bob = uuid.uuid4(), uuid.uuid4()
    calls = [a_call(alice), a_call(bob), a_call(alice), a_failure(alice), a_call(alice)]
    assert written(connection, calls) == [1, 1, 2, None, 3]
    assert written(connection, [a_call(alice), a_call(bob)]) == [4, 2]


def test_a_call_that_is_written_again_is_not_counted_again(connection: Connection) -> None:
    alice = uuid.uuid4()
    call = a_call(alice)
    assert written(connection, [call]) == [1]
    assert written(connection, [call, a_call(alice)]) == [2, 2]
    assert written(connection, [call]) == [2]


def test_a_failed_call_that_succeeds_later_under_the_same_id_is_counted_then(connection: Connection) -> None:
    failed = a_failure(uuid.uuid4())
    assert written(connection, [failed]) == [None]
    delivered = replace(failed, outcome=Outcome.DELIVERED, error_code=None, status=200, spent=(CALL,))
    assert written(connection, [delivered]) == [1]
    assert written(connection, [failed]) == [None]
    with connection.cursor() as cursor:
        cursor.execute("SELECT success, error_code, status FROM prediction_requests")
        assert cursor.fetchall() == [(True, None, 200)]


def test_days_are_counted_apart(connection: Connection) -> None:
    alice = uuid.uuid4()
    calls = [a_call(alice), a_call(alice, spent=({**CALL, "window": "2026-11-24"},))]
    assert written(connection, calls) == [1, 1]


def test_the_reservation_goes_in_the_same_transaction(connection: Connection) -> None:
    reserved = uuid.uuid4()
    calls = [a_call(uuid.uuid4(), request_id=reserved, held=reserved), a_call(uuid.uuid4())]
    with connection.cursor() as cursor:
        for call in calls:
            cursor.execute(
                'INSERT INTO usage_reservations (request_id, user_id, feature, unit, "window", amount, lease_until, created_at)'
                " VALUES (%s, %s, 'predict', 'call', %s, 1, now() + interval '1 minute', now())",
                (str(call.request_id), str(call.user_id), CALL["window"]),
            )
        written(connection, calls)
        cursor.execute("SELECT request_id::text FROM usage_reservations")
        assert cursor.fetchall() == [(str(calls[1].request_id),)]


def test_no_batch_raises_a_counter_above_its_limit(connection: Connection) -> None:
    alice = uuid.uuid4()
    limited: Spent = {**CALL, "allowed": 2}
    assert written(connection, [a_call(alice, spent=(limited,))]) == [1]
    with pytest.raises(CheckViolation) as refusal:
        written(connection, [a_call(alice, spent=(limited,)) for _ in range(2)])
    assert refusal.value.diag.constraint_name == FENCE
    assert written(connection, [a_call(alice, spent=(limited,))]) == [2]
    with pytest.raises(CheckViolation):
        written(connection, [a_call(alice, spent=(limited,))])
    assert written(connection, [a_call(alice, spent=(CALL,))]) == [3]  # whoever has no limit is counted


def test_several_units_of_one_call_are_counted_together_or_not_at_all(connection: Connection) -> None:
    alice = uuid.uuid4()
    tokens = Spent(counter="account", unit="token", window="2026-11", amount=700, allowed=1000)
    assert written(connection, [a_call(alice, spent=(CALL, tokens))]) == [1]
    with pytest.raises(CheckViolation):
        written(connection, [a_call(alice, spent=(CALL, tokens))])
    assert written(connection, [a_call(alice, spent=(CALL, {**tokens, "amount": 300}))]) == [2]
    with connection.cursor() as cursor:
        cursor.execute("SELECT feature, unit, used, allowed FROM usage_counters ORDER BY feature")
        assert cursor.fetchall() == [("account", "token", 1000, 1000), ("predict", "call", 2, None)]


def test_what_a_call_costs_is_charged_once_and_never_changed(connection: Connection) -> None:
    call = a_call(uuid.uuid4(), provider="openai", model="m", units={"token": 7}, price_micros=1200, cost_micros=300)
    written(connection, [call])
    written(connection, [call])
    with connection.cursor() as cursor:
        cursor.execute("SELECT request_id::text, feature, units, price_micros, cost_micros FROM charges")
        assert cursor.fetchall() == [(str(call.request_id), "predict", {"token": 7}, 1200, 300)]
        cursor.execute("SELECT provider, model, units, price_micros, cost_micros, outcome FROM request_logs")
        assert cursor.fetchall() == [("openai", "m", {"token": 7}, 1200, 300, "delivered")]
        for change in ("UPDATE charges SET price_micros = 1", "DELETE FROM charges"):
            with pytest.raises(RestrictViolation):
                cursor.execute(change)


def test_the_promised_table_of_predictions_can_be_read_and_written(connection: Connection) -> None:
    call = a_call(uuid.uuid4())
    written(connection, [call, a_call(uuid.uuid4(), feature="solve")])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE prediction_requests SET response_time_ms = 9")
        cursor.execute("SELECT id::text, user_id::text, success, response_time_ms FROM prediction_requests")
        assert cursor.fetchall() == [(str(call.request_id), str(call.user_id), True, 9)]
