"""PostgreSQL is stopped and started again while predictions are made: no 500, no lost and no doubled count."""

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from auth.tiers import Tier
from examples.private_server.switches import Switches
from sandbox.postgres import EmbeddedPostgres
from tests.gateway.running_gateway import RunningGateway, running_gateway
from tests.metering.limit_backends import migrated

CALLERS = 12


@pytest.fixture
def migrated_url(own_postgres: EmbeddedPostgres) -> str:
    url = own_postgres.url()
    migrated(url)
    return url


@pytest.mark.parametrize("settle_seconds", [0.05, 5.0], ids=["impatient", "patient"])
def test_every_delivered_prediction_is_counted_exactly_once(
    own_postgres: EmbeddedPostgres, migrated_url: str, settle_seconds: float
) -> None:
    users = [uuid.uuid4() for _ in range(CALLERS)]
    over = threading.Event()
    with running_gateway(migrated_url, settle_seconds=settle_seconds) as gateway:
        gateway.private.switches = Switches(delay_seconds=0.01)

        def call(user: uuid.UUID) -> list[tuple[int, str | None]]:
            answers = []
            while not over.is_set():
                answer = gateway.ask(user=user, tier=Tier.ENTERPRISE)
                request_id = answer.get_json()["metadata"]["request_id"] if answer.status_code == 200 else None
                answers.append((answer.status_code, request_id))
            return answers

        with ThreadPoolExecutor(CALLERS) as threads:
            running = [threads.submit(call, user) for user in users]
            try:
                for _ in range(2):
                    wait_for_new_rows(gateway)
                    own_postgres.stop()
                    own_postgres.start()
                wait_for_new_rows(gateway)
            finally:
                over.set()
            answers = [result.result() for result in running]

        statuses = Counter(status for theirs in answers for status, _ in theirs)
        assert set(statuses) <= {200, 503}
        rows = gateway.requests()
        counted = {row["user_id"] for row in rows}
        for user, theirs in zip(users, answers, strict=True):
            delivered = [request_id for status, request_id in theirs if status == 200]
            recorded = [str(row["id"]) for row in rows if str(row["user_id"]) == str(user) and row["success"]]
            assert len(set(delivered)) == len(delivered)
            assert set(delivered) <= set(recorded)
            assert gateway.used(user) == len(recorded)
            # What is recorded and was not delivered is a commit whose confirmation was lost with the connection.
            assert len(recorded) - len(delivered) <= statuses[503]
        assert len(counted) == CALLERS
        assert {row["error_code"] for row in rows if not row["success"]} <= {"usage_not_recorded"}
        assert gateway.ask().status_code == 200


def wait_for_new_rows(gateway: RunningGateway) -> None:
    """Until predictions are recorded again, which after a restart proves that nothing had to be restarted here."""
    before = len(gateway.requests())
    gate = threading.Event()
    for _ in range(2000):
        try:
            if len(gateway.requests()) >= before + 2 * CALLERS:
                return
        except psycopg2.OperationalError:
            pass
        gate.wait(0.01)
    raise AssertionError("no prediction was recorded")
