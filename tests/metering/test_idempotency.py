"""Idempotency-Key on POST /api/gateway/predict: asking twice is asking once."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from examples.private_server.switches import Fault, Switches
from gateway.settings import ResponseVerification
from metering.idempotency import LARGEST_KEPT_ANSWER
from metering.purge import purge_idempotency_keys
from tests.gateway.raw_server import replying_with
from tests.gateway.running_gateway import QUESTION, RunningGateway, running_gateway


@pytest.fixture
def gateway(database_url: str) -> Iterator[RunningGateway]:
    with running_gateway(database_url) as running:
        yield running


def test_the_same_request_again_gets_the_stored_answer_and_costs_nothing(gateway: RunningGateway) -> None:
    first = gateway.ask(key="goal-1")
    again = gateway.ask(key="goal-1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.get_data() == first.get_data()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (gateway.used(), gateway.private.seen.predictions, len(gateway.requests())) == (1, 1, 1)


def test_50_parallel_requests_with_one_key_are_one_call(gateway: RunningGateway) -> None:
    gateway.private.switches = Switches(delay_seconds=0.2)
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: gateway.ask(key="same"), range(50)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    delivered = {answer.get_data() for answer in answers if answer.status_code == 200}
    assert len(delivered) == 1
    assert (gateway.used(), gateway.private.seen.predictions) == (1, 1)


def test_another_request_under_the_same_key_is_refused(gateway: RunningGateway) -> None:
    gateway.ask(key="goal-1")
    refused = gateway.ask({**QUESTION, "context": "another"}, key="goal-1")
    assert (refused.status_code, refused.get_json()["error"]) == (422, "idempotency_key_reused")
    assert gateway.used() == 1


def test_a_request_that_is_still_running_is_not_run_twice(gateway: RunningGateway) -> None:
    gateway.private.switches = Switches(delay_seconds=0.5)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(gateway.ask, key="goal-1")
        wait_for(lambda: gateway.private.seen.predictions == 1)
        second = gateway.ask(key="goal-1")
        assert (second.status_code, second.get_json()["error"]) == (409, "request_still_running")
        assert int(second.headers["Retry-After"]) >= 1
        assert first.result().status_code == 200


def test_a_key_belongs_to_one_user(gateway: RunningGateway) -> None:
    mallory = uuid.uuid4()
    first = gateway.ask(key="goal-1")
    other = gateway.ask(key="goal-1", user=mallory)
    assert other.get_json()["metadata"]["request_id"] != first.get_json()["metadata"]["request_id"]
    assert (gateway.used(), gateway.used(mallory)) == (1, 1)


@pytest.mark.parametrize("key", ["x" * 256, "x" * 300, "two words", "", "é", "tab\there", "a\x7fb"])
def test_a_malformed_key_is_400_and_costs_nothing(gateway: RunningGateway, key: str) -> None:
    refused = gateway.ask(key=key)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "malformed_idempotency_key")
    assert (gateway.used(), gateway.private.seen.predictions) == (0, 0)


def test_the_longest_key_is_taken(gateway: RunningGateway) -> None:
    assert gateway.ask(key="x" * 255).status_code == 200


def test_after_a_failure_that_was_not_charged_the_key_may_be_used_again(gateway: RunningGateway) -> None:
    gateway.private.switches = Switches(Fault.STATUS, status=500)
    assert gateway.ask(key="goal-1").status_code == 502
    gateway.private.switches = Switches()
    again = gateway.ask(key="goal-1")
    assert again.status_code == 200
    assert "Idempotency-Replayed" not in again.headers
    assert (gateway.used(), gateway.private.seen.predictions) == (1, 2)


def test_after_a_refusal_by_the_limit_the_key_is_free(gateway: RunningGateway) -> None:
    for _ in range(5):
        gateway.ask()
    assert gateway.ask(key="goal-1").status_code == 429
    assert gateway.rows("SELECT 1 FROM idempotency_keys") == []


def test_who_takes_over_from_a_dead_holder_asks_under_the_same_id(gateway: RunningGateway) -> None:
    gateway.ask(key="goal-1")
    dead = uuid.uuid4()
    leave_as_a_dead_holder(gateway, dead)
    answer = gateway.ask(key="goal-1")
    assert answer.get_json()["metadata"]["request_id"] == str(dead)
    assert gateway.private.seen.request_ids[-1] == str(dead)
    assert gateway.ask(key="goal-1").get_data() == answer.get_data()


def test_a_take_over_is_counted_also_when_the_dead_holder_had_recorded_a_failure(gateway: RunningGateway) -> None:
    gateway.ask(key="goal-1")
    (first,) = gateway.requests()
    leave_as_a_dead_holder(gateway, first["id"])
    change(gateway, "UPDATE prediction_requests SET success = false, error_code = 'timeout'")
    assert gateway.ask(key="goal-1").status_code == 200
    assert gateway.used() == 2
    assert sorted(row["success"] for row in gateway.requests()) == [False, True]


@pytest.mark.slow
def test_a_first_holder_that_fails_frees_neither_the_key_nor_the_slot_of_the_second(gateway: RunningGateway) -> None:
    for _ in range(4):
        gateway.ask()
    with ThreadPoolExecutor(2) as threads:
        gateway.private.switches = Switches(Fault.STATUS, delay_seconds=1.0)
        first = threads.submit(gateway.ask, key="goal-1")
        gateway.wait_for_prediction(5)
        let_leases_end(gateway)
        gateway.private.switches = Switches(delay_seconds=3.0)
        second = threads.submit(gateway.ask, key="goal-1")
        gateway.wait_for_prediction(6)
        assert first.result().status_code == 502
        assert gateway.ask(key="goal-1").status_code == 409
        assert gateway.ask().status_code == 429
        assert second.result().status_code == 200
    assert gateway.ask(key="goal-1").get_data() == second.result().get_data()
    assert gateway.used() == 5


def test_an_answer_that_was_given_is_not_replaced_by_a_first_holder_that_wakes_up(gateway: RunningGateway) -> None:
    with ThreadPoolExecutor(1) as threads:
        gateway.private.switches = Switches(delay_seconds=1.0)
        first = threads.submit(gateway.ask, key="goal-1")
        gateway.wait_for_prediction(1)
        let_leases_end(gateway)
        gateway.private.switches = Switches()
        second = gateway.ask(key="goal-1")
        assert (first.result().status_code, second.status_code) == (200, 200)
    assert first.result().get_data() != second.get_data()
    assert gateway.ask(key="goal-1").get_data() == second.get_data()
    assert gateway.used() == 1


def test_a_first_holder_that_wakes_up_after_the_second_failed_is_the_same_call_as_the_third(
    gateway: RunningGateway,
) -> None:
    with ThreadPoolExecutor(1) as threads:
        gateway.private.switches = Switches(delay_seconds=1.0)
        first = threads.submit(gateway.ask, key="goal-1")
        gateway.wait_for_prediction(1)
        let_leases_end(gateway)
        gateway.private.switches = Switches(Fault.STATUS)
        assert gateway.ask(key="goal-1").status_code == 502
        assert first.result().status_code == 200
    gateway.private.switches = Switches()
    third = gateway.ask(key="goal-1")
    assert third.status_code == 200
    assert gateway.ask(key="goal-1").get_data() == third.get_data()
    assert gateway.used() == 1


def test_an_answer_that_is_too_large_to_keep_is_given_once_and_not_made_again(database_url: str) -> None:
    body = b'{"answer":"%s"}' % (b"x" * LARGEST_KEPT_ANSWER)
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with (
        replying_with(reply) as address,
        running_gateway(database_url, private_url=address, verify=ResponseVerification.OFF) as gateway,
    ):
        assert gateway.ask(key="goal-1").get_json()["answer"] == "x" * LARGEST_KEPT_ANSWER
        again = gateway.ask(key="goal-1")
        assert (again.status_code, again.get_json()["error"]) == (409, "answer_not_kept")
        assert gateway.used() == 1


def test_old_keys_are_forgotten_and_young_ones_kept(gateway: RunningGateway) -> None:
    gateway.ask(key="old")
    change(gateway, "UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    gateway.ask(key="young")
    assert purge_idempotency_keys() == 1
    assert gateway.ask(key="young").headers["Idempotency-Replayed"] == "true"


def leave_as_a_dead_holder(gateway: RunningGateway, request_id: uuid.UUID) -> None:
    change(
        gateway,
        "UPDATE idempotency_keys SET answer = NULL, answered_at = NULL,"
        f" lease_until = now() - interval '1 second', request_id = '{request_id}'",
    )


def let_leases_end(gateway: RunningGateway) -> None:
    """As if the holder had been stopped for longer than it may take."""
    for table in ("idempotency_keys", "usage_reservations"):
        change(gateway, f"UPDATE {table} SET lease_until = now() - interval '1 second'")


def change(gateway: RunningGateway, statement: str) -> None:
    assert gateway.rows(f"{statement} RETURNING 1")


def wait_for(condition: object) -> None:
    gate = threading.Event()
    for _ in range(1000):
        if condition():  # type: ignore[operator]
            return
        gate.wait(0.005)
    raise AssertionError("it did not happen")
