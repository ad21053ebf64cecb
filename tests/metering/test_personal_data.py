"""What an export and the deletion of an account find in the gateway."""

import uuid

import pytest

from database import reading, transaction
from examples.private_server.switches import Fault, Switches
from metering.personal_data import erase_calls, export_calls
from tests.gateway.running_gateway import QUESTION, RunningGateway, running_gateway

TABLES = (
    "prediction_requests",
    "idempotency_keys",
    "usage_counters",
    "usage_gates",
    "usage_reservations",
)


def erase_all(gateway: RunningGateway, user: uuid.UUID) -> list[int]:
    """As the job does it: until nothing is left."""
    portions: list[int] = []
    while not portions or portions[-1]:
        with transaction() as session:
            portions.append(erase_calls(session, user))
    return portions


def test_an_export_shows_calls_counts_and_stored_answers_of_that_user_alone(database_url: str) -> None:
    with running_gateway(database_url) as gateway:
        mallory = uuid.uuid4()
        gateway.ask(key="goal-1")
        gateway.ask()
        gateway.ask(user=mallory)
        with reading() as session:
            found = export_calls(session, gateway.alice)
        mine = [row["id"] for row in gateway.requests() if row["user_id"] == str(gateway.alice)]
        assert sorted(str(call["id"]) for call in found["calls"]) == sorted(mine)
        assert found["log_is_complete"] is True
        assert [counted["used"] for counted in found["usage"]] == [2]
        (stored,) = found["stored_answers"]
        assert QUESTION["goal"] not in str(found["calls"])
        assert stored["answer"] is not None


@pytest.mark.slow
def test_a_log_that_is_too_long_says_so(database_url: str) -> None:
    with running_gateway(database_url) as gateway:
        gateway.ask()
        gateway.rows(
            "WITH copied AS (INSERT INTO prediction_requests SELECT gen_random_uuid(), user_id, request_data_hash, success,"
            " response_time_ms, error_code, created_at, feature, tier, status, upstream_ms, window_date"
            " FROM prediction_requests, generate_series(1, 50000) RETURNING 1) SELECT count(*) FROM copied"
        )
        with reading() as session:
            found = export_calls(session, gateway.alice)
        assert (len(found["calls"]), found["log_is_complete"]) == (50_000, False)


def test_erasing_leaves_nothing_of_that_user_and_everything_of_others(database_url: str) -> None:
    with running_gateway(database_url) as gateway:
        mallory = uuid.uuid4()
        for user in (gateway.alice, mallory):
            gateway.ask(user=user, key="goal-1")
            gateway.ask(user=user)
            gateway.private.switches = Switches(Fault.STATUS)
            gateway.ask(user=user)
            gateway.private.switches = Switches()
        before = {table: len(gateway.rows(f"SELECT 1 FROM {table}")) for table in TABLES}
        portions = erase_all(gateway, gateway.alice)
        assert portions[0] == 3
        for table in TABLES:
            left = gateway.rows(f"SELECT user_id FROM {table}")
            assert {row["user_id"] for row in left} <= {str(mallory)}
            assert len(left) * 2 == before[table]
